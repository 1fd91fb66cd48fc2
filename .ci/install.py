"""Puts the locked packages and the project itself into .venv; a second time, when nothing changed, it does nothing.

Run by ``make`` with whatever ``python3`` the machine has: only the standard library, and words that an old one understands.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

LOCK = "requirements-dev.lock"
VENV = ".venv"
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "installed")
QUIET = ["-qq", "--disable-pip-version-check"]


def main() -> None:
    if sys.version_info < (3, 11):
        version = ".".join(map(str, sys.version_info[:2]))
        sys.exit(f"Beckon needs Python 3.11 or newer, this is {version}; name another: make PYTHON=python3.12 …")
    os.makedirs("build", exist_ok=True)
    with open(os.path.join("build", "install.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place, packages = fingerprints()
        there = installed()
        if there == [place, packages]:
            return
        print(f"Installing into {VENV} (once; again only when {LOCK} changes)", flush=True)
        if there[:1] != [place]:
            make_venv()
        install()
        with open(STAMP, "w") as stamp:
            stamp.write(place + "\n" + packages + "\n")


def fingerprints() -> "tuple[str, str]":
    """Of what the environment depends on (the interpreter, the folder), and of what is in it."""
    import tomllib  # Python 3.11 has it, which main() has made sure of

    with open(LOCK, "rb") as lock, open("pyproject.toml", "rb") as project:
        described = tomllib.load(project)
        packages = (lock.read(), described["project"], described["build-system"])
    place = (sys.version, sys.base_prefix, os.getcwd())
    return digest(place), digest(packages)


def digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def installed() -> "list[str]":
    try:
        with open(STAMP) as stamp:
            return stamp.read().split()
    except OSError:
        return []


def install() -> None:
    uv = get_uv()
    # Wheels of the lock only, each with its hash; pip does the same where uv does not get through.
    environ = dict(os.environ, VIRTUAL_ENV=os.path.abspath(VENV), UV_NO_PROGRESS="1")
    if not os.access(os.path.expanduser("~"), os.W_OK):
        environ.setdefault("UV_NO_CACHE", "1")
    if uv and run([uv, "pip", "install", "--quiet", "--require-hashes", "-r", LOCK], environ):
        own = [uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", "."]
    else:
        print("Installing with pip instead", flush=True)
        must([PYTHON, "-m", "pip", "install", *QUIET, "--require-hashes", "-r", LOCK])
        own = [PYTHON, "-m", "pip", "install", *QUIET, "--no-deps", "--no-build-isolation", "-e", "."]
    must(own, environ)


def make_venv() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    if run([sys.executable, "-m", "venv", VENV], show=False):
        return
    # Debian keeps ensurepip in a package of its own; the system's pip, if there is one, can fill the environment as well.
    shutil.rmtree(VENV, ignore_errors=True)
    if run([sys.executable, "-m", "venv", "--without-pip", VENV], show=False) and run(
        [sys.executable, "-m", "pip", "--python", PYTHON, "install", *QUIET, "pip"]
    ):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    sys.exit(
        "This Python can make no virtual environment: it has neither ensurepip nor pip."
        " Install them (Debian and Ubuntu: apt-get install python3-venv) and try again."
    )


def get_uv() -> "str | None":
    """uv in the version of the lock, checked against its hashes. None if it cannot be had."""
    with open(LOCK) as lock:
        entry = re.search(r"^uv==.*\n(?: +--hash=.*\n)+", lock.read(), re.MULTILINE)
    if not entry:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(entry.group())
        requirements.flush()
        done = run([PYTHON, "-m", "pip", "install", *QUIET, "--require-hashes", "-r", requirements.name])
    return os.path.join(VENV, "bin", "uv") if done else None


def run(command: "list[str]", environ: "dict[str, str] | None" = None, show: bool = True) -> bool:
    return subprocess.run(command, env=environ, capture_output=not show).returncode == 0


def must(command: "list[str]", environ: "dict[str, str] | None" = None) -> None:
    if not run(command, environ):
        sys.exit("Installing failed, see above; the step was: " + " ".join(command))


if __name__ == "__main__":
    main()
