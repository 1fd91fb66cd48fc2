"""To whom a mail goes."""

from collections.abc import Sequence

from email_validator import EmailNotValidError, validate_email
from msgspec import Struct

from shared.messages import Properties


class To(Struct, frozen=True):
    """``prefix`` goes before the subject, so that nobody takes a trial for the real thing."""

    addresses: tuple[str, ...]
    prefix: str = ""

    @property
    def trial(self) -> bool:
        """It goes to test recipients, who are not the person."""
        return bool(self.prefix)

    @property
    def domain(self) -> str:
        """Where it goes; of several, the first."""
        return self.addresses[0].rpartition("@")[2].lower()


class Nobody(Struct, frozen=True):
    reason: str


def choose(profile: Properties, test_recipients: Sequence[str], *, staging: bool, test: bool) -> To | Nobody:
    """The person's own address; in staging, and for a rule that is under test, the test recipients instead.

    A trial ends like the real thing for somebody without a usable address: nobody gets it.
    """
    given = profile.get("email")
    if given is None or given == "":
        return Nobody("the profile has no email")
    try:
        own = normal(given)
    except ValueError as error:
        return Nobody(f"the profile's email is not an address: {error}")
    if not staging and not test:
        return To((own,))
    if not test_recipients:
        return Nobody(f"{'staging' if staging else 'a rule under test'} mails TEST_RECIPIENTS only, and there are none")
    return To(tuple(test_recipients), "[staging] " if staging else "[test] ")


def normal(address: object) -> str:
    """The address as it is put on the envelope, its domain in ASCII.

    Raises ``ValueError`` with the reason. A local part beyond ASCII is refused: few servers take it (RFC 6531).
    """
    if not isinstance(address, str):
        raise ValueError("it is not a text")
    try:
        valid = validate_email(address.strip(), check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    if valid.ascii_email is None:
        raise ValueError("its local part is not ASCII")
    if "=?" in valid.ascii_email:
        raise ValueError("it holds an encoded word, which has no place in an address")
    return valid.ascii_email
