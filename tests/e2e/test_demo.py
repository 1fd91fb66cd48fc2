"""``make demo``, whole."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_demo_meets_its_expectations(tmp_path: Path) -> None:
    folder = tmp_path
    demo = run(folder)
    flaws = [line for line in demo.stdout.splitlines() if line.startswith("      ")]
    if flaws and all("the mail came" in flaw for flaw in flaws):
        print("A mail was late; the machine may have been busy with other tests, so once more.", *flaws, sep="\n")
        folder = tmp_path / "again"
        folder.mkdir()
        demo = run(folder)
    assert demo.returncode == 0, demo.stdout
    assert demo.stdout.splitlines()[-1] == "demo: 12 of 12 expectations met"
    assert not list(folder.glob("beckon-demo-*")), "nothing stays behind"


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.local", "demo"],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=150,
    )
