"""``beckon suppress PERSON``."""

from typing import Annotated

import msgspec
import typer

from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.output import Json, print_json, say
from shared import subjects
from shared.messages import Suppress, Suppressed


def suppress(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="The user_id, or the anonymous_id.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept with every send that is stopped.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Lift the suppression.")] = False,
    as_json: Json = False,
) -> None:
    """Send nothing to a person any more."""
    if not reason and not remove:
        raise Failure("suppress: --reason is missing", code=2)
    request = Suppress(person, reason, remove)
    answer = run(lambda bus: ask(bus, "the throttle", subjects.SUPPRESSIONS_PUT, request, Suppressed))
    if as_json:
        print_json(msgspec.to_builtins(answer))
    else:
        say(f"{answer.person}: {'gets no mail any more' if answer.suppressed else 'may get mail'}")
