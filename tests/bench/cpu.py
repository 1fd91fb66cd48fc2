"""Processor time of processes and their children, from ``/proc``."""

import os
from collections.abc import Mapping
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pids: Mapping[str, int]) -> dict[str, float]:
    """Seconds each of ``pids`` and all its descendants have used so far, those that have ended included."""
    used: dict[int, tuple[int, float]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # ended meanwhile
                continue
            used[int(folder.name)] = int(fields[1]), sum(map(int, fields[11:15])) * _TICK_S
    return {name: _with_children(pid, used) for name, pid in pids.items()}


def _with_children(pid: int, used: Mapping[int, tuple[int, float]]) -> float:
    own = used[pid][1] if pid in used else 0.0
    return own + sum(_with_children(child, used) for child, (parent, _) in used.items() if parent == pid)
