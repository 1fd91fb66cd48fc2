"""``up``, ``down`` and ``status``: what the person at the keyboard asks of the supervisor."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from services.local.lock import Lock, Locked
from services.local.process import alive, tail
from services.local.runfile import PID_FILE, RUN_FILE, RunFile, read_run_file

_UP_S = 180.0
_DOWN_S = 60.0
_KILLED_S = 10.0


def up(home: Path, out: Console) -> int:
    """Start the supervisor, detached, and wait until everything is ready; or find it running. Answers the exit code."""
    return asyncio.run(_up(home, out))


def down(home: Path, out: Console) -> int:
    """Stop what runs in ``home``, in order; by force where that does not help. Answers the exit code."""
    return asyncio.run(_down(home, out))


def status(home: Path, out: Console) -> int:
    """0 if the system is ready, 1 if not."""
    run = running(home)
    if run is None:
        out.print("Beckon is not running here. Start it with: make up")
        return 1
    _print_addresses(run, out)
    return 0


def running(home: Path) -> RunFile | None:
    """The run file, if what wrote it still runs."""
    run = read_run_file(home / RUN_FILE)
    return run if run is not None and _is_supervisor(run.pid, home) else None


async def _up(home: Path, out: Console) -> int:
    deadline = time.monotonic() + _UP_S
    log_file = home / "log" / "supervisor.log"
    supervisor: subprocess.Popen[bytes] | None = None
    began = time.monotonic()
    while time.monotonic() < deadline:
        if run := running(home):
            word = f"is ready after {time.monotonic() - began:.1f} s" if supervisor else "is up already"
            out.print(f"[bold green]Beckon {word}[/]")
            _print_addresses(run, out)
            return 0
        if supervisor is None:
            # Whoever has the lock is on its way up or down. When it is free, the next supervisor is ours.
            supervisor = await _start_supervisor(home, log_file, out)
        elif supervisor.poll() is not None:
            out.print(f"[bold red]Beckon did not start.[/] The end of {escape(str(log_file))}:", soft_wrap=True)
            out.print(tail(log_file, 25), markup=False, soft_wrap=True)
            return 1
        await asyncio.sleep(0.05)
    where = escape(str(log_file.parent))
    out.print(f"[bold red]Beckon is not ready after {_UP_S:g} s.[/] Its logs are in {where}", soft_wrap=True)
    return 1


async def _start_supervisor(home: Path, log_file: Path, out: Console) -> "subprocess.Popen[bytes] | None":
    try:
        lock = await Lock.acquire(home / "lock")
    except Locked:
        return None
    out.print("Starting Beckon …")
    (home / RUN_FILE).unlink(missing_ok=True)
    try:
        return _spawn_supervisor(home, log_file, lock.fd)
    finally:
        lock.release()  # the supervisor holds it now


def _spawn_supervisor(home: Path, log_file: Path, lock: int) -> "subprocess.Popen[bytes]":
    """In a session of its own, with nothing of ours open: it outlives the terminal, and nobody waits for its output."""
    log_file.parent.mkdir(exist_ok=True)
    with log_file.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "services.local", "supervise", str(home), str(lock)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,
        )


async def _down(home: Path, out: Console) -> int:
    if await _is_free(home):
        (home / RUN_FILE).unlink(missing_ok=True)  # what a killed supervisor left
        out.print("Nothing is running.")
        return 0
    began = time.monotonic()
    if pid := _supervisor(home):
        os.kill(pid, signal.SIGTERM)
        if not await _is_free(home, wait_s=_DOWN_S) and _is_supervisor(pid, home):
            os.kill(pid, signal.SIGKILL)
    # Without its supervisor everything ends at once; what did not is found by the lock that it holds.
    if not await _is_free(home, wait_s=_KILLED_S):
        for holder in holders(home / "lock"):
            os.kill(holder, signal.SIGKILL)
        if not await _is_free(home, wait_s=_KILLED_S):
            out.print(f"[bold red]Something still holds[/] {escape(str(home / 'lock'))}", soft_wrap=True)
            return 1
    (home / RUN_FILE).unlink(missing_ok=True)
    out.print(f"Stopped after {time.monotonic() - began:.1f} s. The data stays in {escape(str(home))}", soft_wrap=True)
    return 0


async def _is_free(home: Path, *, wait_s: float = 0.0) -> bool:
    """Whether nothing runs in ``home``, not even the last child of a supervisor that was killed."""
    try:
        (await Lock.acquire(home / "lock", wait_s=wait_s)).release()
    except Locked:
        return False
    return True


def holders(lock: Path) -> list[int]:
    """The processes of ours that have the file open."""
    found = []
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(os.path.samefile(descriptor, lock) for descriptor in descriptors.iterdir()):
                found.append(int(descriptors.parent.name))
        except OSError:  # ended meanwhile, or not ours
            continue
    return found


def _supervisor(home: Path) -> int | None:
    try:
        pid = int((home / PID_FILE).read_text())
    except (OSError, ValueError):
        return None
    return pid if _is_supervisor(pid, home) else None


def _is_supervisor(pid: int, home: Path) -> bool:
    """A process id may long belong to somebody else."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return alive(pid) and b"supervise" in command and os.fsencode(home) in command


def _print_addresses(run: RunFile, out: Console) -> None:
    shown = {
        "start page": run.console,
        "sample shop": run.shop,
        "tracker": run.tracker,
        "inbox": run.inbox or "none: mails go to the SMTP server below",
        "write key": run.write_key,
        "secret key": run.secret_key,
        "NATS": run.nats,
        "PostgreSQL": run.database,
        "SMTP": run.smtp,
        **({"time-lapse": run.time_lapse} if run.time_lapse else {}),
    }
    for name, value in shown.items():
        out.print(f"  [dim]{name:<12}[/]{escape(value)}", soft_wrap=True)
