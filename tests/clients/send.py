"""Sends events with a client library as its users do: ``python -m tests.clients.send segment|rudderstack URL KEY COUNT FILE``.

The second half is begun once ``FILE`` is there.
"""

import importlib
import sys
import time
from pathlib import Path
from typing import Any


def main(library: str, url: str, key: str, count: int, go: Path) -> None:
    client_class = importlib.import_module(f"{library}.analytics.client").Client
    failures: list[str] = []

    def on_error(error: Exception, batch: list[Any]) -> None:
        failures.append(f"{len(batch)} events: {error}")

    client = client_class(key, host=url, on_error=on_error, gzip=True)
    for number in range(count):
        while number == count // 2 and not go.exists():
            time.sleep(0.01)
        queued, _ = client.track(f"u{number % 100}", "Product Viewed", {"number": number})
        if not queued:
            failures.append("the queue is full")
    client.flush()
    client.join()
    sys.exit("\n".join(failures) or 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]))
