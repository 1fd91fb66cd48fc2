"""The ``beckon`` command, as a person runs it."""

import asyncio
import json
import os
import sys
from typing import Any, NamedTuple

from tests.support.stack import ROOT


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


async def beckon(nats_url: str | None, *arguments: str) -> Ran:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "HOME", "COV", "VIRTUAL"))}
    kept |= {"USER": "a-test", "SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli",
        *arguments,
        cwd=ROOT,
        env=kept | ({"NATS_URL": nats_url} if nats_url is not None else {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ran(process.returncode or 0, out.decode(), err.decode())
