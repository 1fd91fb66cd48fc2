"""What is wrong with one event, said so that its sender can put it right."""


class Flaw(ValueError):
    """The event is refused; ``reason`` names the place and what would be right. Printable ASCII, fit for a header."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def shown(value: object, limit: int = 60) -> str:
    """A value the sender sent, short and harmless in a log, a header or a terminal."""
    text = ascii(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
