"""``beckon policy apply|show``."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.output import Json, print_json, read, say
from shared import subjects
from shared.messages import GetPolicy, PolicyFound, PolicyPut, PutPolicy

app = typer.Typer(no_args_is_help=True)

SERVICE = "the throttle"


@app.command()
def apply(file: Annotated[Path, typer.Argument(metavar="FILE")], as_json: Json = False) -> None:
    """Put the policy: it is checked whole, and in force for the next decision."""
    request = PutPolicy(read(file), os.environ.get("USER", ""))
    answer = run(lambda bus: ask(bus, SERVICE, subjects.POLICY_PUT, request, PolicyPut))
    if as_json:
        print_json(msgspec.to_builtins(answer))
    else:
        for error in answer.errors:
            say(f"{file}: {error}")
        if not answer.errors:
            say(f"policy: version {answer.version}")
    if answer.errors:
        raise Failure("the policy was refused")


@app.command()
def show(as_json: Json = False) -> None:
    """The policy in force."""
    found = run(lambda bus: ask(bus, SERVICE, subjects.POLICY_GET, GetPolicy(), PolicyFound))
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        say(found.document.rstrip("\n"))
