"""The browser SDK as it is served: bytes, their names, and what they may be checked by. Pure but for reading its file."""

import base64
import gzip
import hashlib
from importlib import resources
from typing import NamedTuple


class Sdk(NamedTuple):
    """``digest`` names this very content; ``integrity`` is for the attribute of that name (Subresource Integrity)."""

    script: bytes
    compressed: bytes
    digest: str
    integrity: str


def load() -> Sdk:
    script = resources.files(__name__).joinpath("sdk.min.js").read_bytes()
    digest = hashlib.sha384(script).digest()
    return Sdk(
        script,
        gzip.compress(script, 9, mtime=0),
        digest.hex()[:16],
        f"sha384-{base64.b64encode(digest).decode()}",
    )
