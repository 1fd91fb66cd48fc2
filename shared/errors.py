"""How handling a message or a request can end badly. Everything else is a bug."""


class RetryLater(Exception):
    """The message cannot be handled now; it comes again after ``delay_s`` seconds."""

    def __init__(self, delay_s: float, reason: str) -> None:
        super().__init__(reason)
        self.delay_s = delay_s
        self.reason = reason


class InvalidMessage(Exception):
    """The message can never be handled; it goes to the dead letters with ``reason``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unavailable(Exception):
    """Something this work needs is away. Worth repeating, for ever."""


class BusUnavailable(Unavailable):
    """NATS did not acknowledge in time."""


class NoResponders(Unavailable):
    """Nobody serves the subject at the moment."""


class RequestTimeout(Unavailable):
    """The answer did not come in time."""


class RequestRefused(Exception):
    """The other side understood the request and says no, and why. Repeating it will not help."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StartError(Exception):
    """The process cannot run as it is configured; one line that says what to change."""
