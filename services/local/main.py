"""``python -m services.local up|down|status|demo``, which ``make`` calls."""

import os
import sys
from pathlib import Path

from rich.console import Console

from services.local.control import down, status, up
from services.local.plan import ROOT

_USAGE = "usage: python -m services.local up | down | status | demo"


def main() -> None:
    home = Path(os.environ.get("BECKON_HOME") or ROOT / ".beckon").resolve()
    out = Console(highlight=False)
    match sys.argv[1:]:
        case ["up"]:
            sys.exit(up(home, out))
        case ["down"]:
            sys.exit(down(home, out))
        case ["status"]:
            sys.exit(status(home, out))
        case ["demo"]:
            from services.local.demo.main import demo

            sys.exit(demo(out))
        case ["supervise", folder, lock]:  # what "up" starts
            from services.local.supervisor import supervise  # half a second of imports that the others do without

            sys.exit(supervise(Path(folder), int(lock)))
        case _:
            sys.exit(_USAGE)
