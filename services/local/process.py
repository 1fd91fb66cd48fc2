"""Child processes that never outlive this one, with their output in a file."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LOG_MAX_BYTES = 10 * 2**20


class ProcessFailed(Exception):
    """A process ended, or did not become ready. The text ends with the last lines it wrote."""


class Process:
    """A running child. It may be waited for from any event loop: it is watched by asking, 50 times a second."""

    def __init__(self, popen: subprocess.Popen[bytes], name: str, log: Path, log_start: int) -> None:
        self._popen = popen
        self.name = name
        self._log = log
        self._log_start = log_start

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; ``-n`` if signal ``n`` ended it."""
        return self._popen.poll()

    def send(self, number: int) -> None:
        self._popen.send_signal(number)

    async def wait(self) -> int:
        while (code := self._popen.poll()) is None:
            await asyncio.sleep(0.02)
        return code

    async def stop(self, number: int = signal.SIGTERM, budget_s: float = 10.0) -> int:
        """Ask it to end with signal ``number``; kill it when ``budget_s`` is spent."""
        self.send(number)
        try:
            async with asyncio.timeout(budget_s):
                return await self.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        self.send(signal.SIGKILL)
        return await self.wait()

    async def ready(self, probe: Callable[[], bool], budget_s: float) -> None:
        """Wait until ``probe`` passes. Raises ``ProcessFailed`` if the process ends before, or the time does."""
        deadline = time.monotonic() + budget_s
        try:
            while not probe():
                if (code := self.exit_code) is not None:
                    raise ProcessFailed(f"{self.name} {describe_exit(code)}\n{self.tail()}")
                if time.monotonic() > deadline:
                    raise ProcessFailed(f"{self.name} was not ready within {budget_s:g} s\n{self.tail()}")
                await asyncio.sleep(0.005)
        except BaseException:
            self.send(signal.SIGKILL)
            raise

    def tail(self, lines: int = 15) -> str:
        """The last lines it wrote."""
        return tail(self._log, lines, since=self._log_start)


def spawn(
    name: str,
    argv: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    inherit: Sequence[int] = (),
    death_signal: int = signal.SIGKILL,
    user: int | None = None,
) -> Process:
    """Start a child in a session of its own, so that Ctrl-C reaches only us. The kernel sends it ``death_signal`` when this
    process ends, however it ends (prctl(2), PR_SET_PDEATHSIG; the signal follows the *thread*: call this in the main one).

    ``inherit``: descriptors that stay open in it. ``user``: run as that uid and gid, with no other groups.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_MAX_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    with log.open("ab") as output:
        log_start = output.tell()
        popen = subprocess.Popen(
            [os.fspath(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if env is None else dict(env),
            cwd=cwd,
            pass_fds=tuple(inherit),
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            preexec_fn=_dies_with_parent(death_signal),  # two system calls, nothing that takes a lock
        )
    return Process(popen, name, log, log_start)


def tail(log: Path, lines: int = 15, *, since: int = 0) -> str:
    """The last lines of a file from byte ``since`` on, or an empty text where there is no file."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, log.stat().st_size - 20_000))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def describe_exit(code: int) -> str:
    return f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


def alive(pid: int) -> bool:
    """Whether a process runs. A dead one that nobody has waited for (a zombie) does not, though ``kill(pid, 0)`` says so."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _dies_with_parent(number: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it ended between fork and prctl
            os._exit(1)

    return before_exec
