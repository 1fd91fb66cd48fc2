"""``beckon suppress PERSON``, and ``beckon suppress --address ADDRESS``."""

from typing import Annotated

import msgspec
import typer

from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.output import Json, print_json, say
from shared import subjects
from shared.consents import Suppress, Suppressed
from shared.reports import AddressSuppressed, SuppressAddress


def suppress(
    who: Annotated[str, typer.Argument(metavar="WHO", help="The user_id, or the anonymous_id.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept with every send that is stopped.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Lift the suppression.")] = False,
    address: Annotated[bool, typer.Option("--address", help="WHO is an e-mail address, whoever has it.")] = False,
    as_json: Json = False,
) -> None:
    """Send nothing to a person, or to an address, any more."""
    if not reason and not remove:
        raise Failure("suppress: --reason is missing", code=2)
    answer = _address(who, reason, remove=remove) if address else _person(who, reason, remove=remove)
    if as_json:
        print_json(msgspec.to_builtins(answer))
    else:
        say(f"{who}: {'gets no mail any more' if answer.suppressed else 'may get mail'}")


def _person(person: str, reason: str, *, remove: bool) -> Suppressed:
    request = Suppress(person, reason, remove)
    return run(lambda bus: ask(bus, "the throttle", subjects.SUPPRESSIONS_PUT, request, Suppressed))


def _address(address: str, reason: str, *, remove: bool) -> AddressSuppressed:
    request = SuppressAddress(address, reason, remove)
    return run(lambda bus: ask(bus, "the mailer", subjects.ADDRESSES_SUPPRESS, request, AddressSuppressed))
