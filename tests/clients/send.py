"""Sends events with a client library as its users do: ``python -m tests.clients.send segment|rudderstack URL KEY COUNT``."""

import importlib
import sys
import time
from typing import Any


def main(library: str, url: str, key: str, count: int) -> None:
    client_class = importlib.import_module(f"{library}.analytics.client").Client
    failures: list[str] = []

    def on_error(error: Exception, batch: list[Any]) -> None:
        failures.append(f"{len(batch)} events: {error}")

    client = client_class(key, host=url, on_error=on_error, gzip=True)
    for number in range(count):
        queued, _ = client.track(f"u{number % 100}", "Product Viewed", {"number": number})
        if not queued:
            failures.append("the queue is full")
        if number % 100 == 0:
            time.sleep(0.05)  # a server has other things to do as well
    client.flush()
    client.join()
    sys.exit("\n".join(failures) or 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
