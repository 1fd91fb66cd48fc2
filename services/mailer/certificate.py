"""A server's certificate in a folder, as a Secret of type ``kubernetes.io/tls`` is mounted; read again when it is renewed."""

import ssl
from pathlib import Path

import structlog

from shared.bus import describe

log = structlog.get_logger()

CHAIN, KEY = "tls.crt", "tls.key"


class Certificate:
    def __init__(self, folder: Path) -> None:
        self._files = (folder / CHAIN, folder / KEY)
        self._seen: tuple[int, ...] = ()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext | None:
        """None while there is no certificate. One that cannot be used is told of, and the one before it stays."""
        seen = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in self._files)
        if seen != self._seen:
            self._seen = seen
            self._context = self._read() or self._context
        return self._context

    def _read(self) -> ssl.SSLContext | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # A key under a password fails, instead of asking whoever sits there for it.
            context.load_cert_chain(*self._files, password=lambda: b"")
        except (OSError, ValueError) as error:
            log.warning("certificate_unusable", folder=str(self._files[0].parent), **describe(error))
            return None
        log.info("certificate_read", folder=str(self._files[0].parent))
        return context
