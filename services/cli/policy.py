"""``beckon policy apply|show|list|rollback|forecast|schema``."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from services.cli import forecasting
from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.output import Json, print_json, print_table, read, say, shown, tell_put
from services.throttle.schema import policy_schema
from shared import subjects
from shared.bus import Bus
from shared.clock import rfc3339
from shared.policies import GetPolicy, ListPolicies, PoliciesListed, PolicyFound, PolicyPut, PutPolicy

app = typer.Typer(no_args_is_help=True)
app.command("forecast")(forecasting.command)

SERVICE = "the throttle"


@app.command()
def apply(file: Annotated[Path, typer.Argument(metavar="FILE")], as_json: Json = False) -> None:
    """Put the policy: it is checked whole, and in force for the next decision."""
    document = read(file)
    answer = run(lambda bus: _put(bus, document))
    tell_put(answer, file, answer.errors, "policy", f"policy: version {answer.version}", as_json=as_json)


@app.command()
def show(
    version: Annotated[int, typer.Argument(metavar="[N]", min=0, help="A version; 0: the one in force.")] = 0,
    as_json: Json = False,
) -> None:
    """The policy in force, or an earlier one, as it was put."""
    found = run(lambda bus: _get(bus, version))
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        say(found.document.rstrip("\n"))


@app.command("list")
def list_versions(as_json: Json = False) -> None:
    """Every version of the policy, the first one first; the last one is in force."""
    versions = run(lambda bus: ask(bus, SERVICE, subjects.POLICY_LIST, ListPolicies(), PoliciesListed)).versions
    if as_json:
        print_json([{**msgspec.to_builtins(one), "put_at": rfc3339(one.put_at)} for one in versions])
        return
    rows = [(str(one.version), shown(one.put_at), one.by) for one in versions]
    print_table(("version", "put", "by"), rows, "none was put yet: the default is in force")


@app.command()
def rollback(
    version: Annotated[int, typer.Argument(metavar="N", min=1, help="The version to go back to.")],
    as_json: Json = False,
) -> None:
    """Put an earlier version again, as a new one."""

    async def work(bus: Bus) -> PolicyPut:
        return await _put(bus, (await _get(bus, version)).document)

    put = run(work)
    if put.errors:
        raise Failure("\n".join([f"version {version} cannot be put again", *put.errors]))
    if as_json:
        print_json(msgspec.to_builtins(put))
    else:
        say(f"policy: version {put.version} is version {version} again" if put.version != version else "it is in force")


@app.command()
def schema() -> None:
    """The JSON Schema of a policy document, for editors."""
    print_json(policy_schema())


async def _get(bus: Bus, version: int) -> PolicyFound:
    found = await ask(bus, SERVICE, subjects.POLICY_GET, GetPolicy(version), PolicyFound)
    if not found.document:
        raise Failure(f"there is no version {version} of the policy")
    return found


async def _put(bus: Bus, document: str) -> PolicyPut:
    request = PutPolicy(document, os.environ.get("USER", ""))
    return await ask(bus, SERVICE, subjects.POLICY_PUT, request, PolicyPut)
