"""``make demo``, whole."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_demo_meets_its_expectations(tmp_path: Path) -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "services.local", "demo"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=150,
    )
    assert demo.returncode == 0, demo.stdout
    assert demo.stdout.splitlines()[-1] == "demo: 12 of 12 expectations met"
    assert not list(tmp_path.glob("beckon-demo-*")), "nothing stays behind"
