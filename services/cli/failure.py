"""How a command ends that cannot be done."""


class Failure(Exception):
    """One line for the person at the terminal. ``code``: 1 it could not be done, 2 wrong usage or configuration."""

    def __init__(self, reason: str, code: int = 1) -> None:
        super().__init__(reason)
        self.code = code
