"""The client libraries that come from npm, in the versions of ``tests/clients/package-lock.json``."""

import fcntl
import shutil
import subprocess

import pytest

from tests.support.stack import ROOT

CLIENTS = ROOT / "tests/clients"


def installed() -> str:
    """The path of ``node``, with the libraries installed. Skips the test where there is no Node.js."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js is not installed: the libraries from npm are not tried")
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build/clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (CLIENTS / "package-lock.json").read_text()
        stamp = CLIENTS / "node_modules/.installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            done = subprocess.run([npm, "ci"], cwd=CLIENTS, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            stamp.write_text(wanted)
    return node
