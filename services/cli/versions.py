"""``beckon rules versions|diff|rollback|delete|schema|sweep|test``: a rule's life, and what surrounds it."""

import asyncio
import difflib
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.output import Json, print_json, print_table, read, say, shown
from services.rule_evaluator.document import parse_document
from shared import markup, subjects
from shared.bus import Bus
from shared.clock import rfc3339
from shared.rules import (
    DeleteRule,
    GetRule,
    GetSchema,
    GetSweep,
    PutRule,
    RuleDeleted,
    RuleFound,
    RulePut,
    RuleSummary,
    SchemaFound,
    SweepProgress,
)

SERVICE = "the rule-evaluator"
POLL_S = 0.5

RuleId = Annotated[str, typer.Argument(metavar="ID")]


async def _get(bus: Bus, rule_id: str, version: int = 0, *, history: bool = False) -> RuleFound:
    found = await ask(bus, SERVICE, subjects.RULES_GET, GetRule(rule_id, version, history), RuleFound)
    if found.summary is None:
        raise Failure(f"there is no rule {rule_id}" + (f" in version {version}" if version else ""))
    return found


def versions(rule_id: RuleId, as_json: Json = False) -> None:
    """Every version of a rule, the first one first."""
    found = run(lambda bus: _get(bus, rule_id, history=True)).versions
    if as_json:
        print_json([_version(one) for one in found])
        return
    rows = [(str(one.version), one.status, shown(one.changed_at), one.by, one.name) for one in found]
    print_table(("version", "status", "changed", "by", "name"), rows, "no versions")


def diff(
    rule_id: RuleId,
    old: Annotated[int, typer.Argument(min=0, help="A version; 0: the one before the current.")] = 0,
    new: Annotated[int, typer.Argument(min=0, help="A version; 0: the current one.")] = 0,
    as_json: Json = False,
) -> None:
    """What changed between two versions of a rule."""

    async def both(bus: Bus) -> tuple[RuleFound, RuleFound]:
        after = await _get(bus, rule_id, new)
        assert after.summary is not None
        return await _get(bus, rule_id, old or max(1, after.summary.version - 1)), after

    before, after = run(both)
    assert before.summary is not None
    assert after.summary is not None
    lines = list(
        difflib.unified_diff(
            before.document.splitlines(),
            after.document.splitlines(),
            f"{rule_id} version {before.summary.version}",
            f"{rule_id} version {after.summary.version}",
            lineterm="",
        )
    )
    changed = _changed(before.document, after.document)
    if as_json:
        print_json(
            {"from": before.summary.version, "to": after.summary.version, "changed": changed, "diff": "\n".join(lines)}
        )
        return
    for line in lines:
        say(line)
    say(f"changed: {', '.join(changed)}" if changed else "nothing that matters changed")
    if "when" in changed:
        say(
            "the condition is another one: what people are known to have done counts, but nobody starts as if it had held"
        )


def _changed(before: str, after: str) -> list[str]:
    """The keys that mean something else now."""
    one, other = (markup.load(text) if text else {} for text in (before, after))
    return [key for key in {**one, **other} if one.get(key) != other.get(key)]


def rollback(
    rule_id: RuleId,
    version: Annotated[int, typer.Argument(min=1, help="The version to go back to.")],
    as_json: Json = False,
) -> None:
    """Put an earlier version again, as a new one."""

    async def work(bus: Bus) -> RulePut:
        found = await _get(bus, rule_id, version)
        if not found.document:
            raise Failure(f"version {version} of {rule_id} is its deletion: there is nothing to put again")
        return await ask(bus, SERVICE, subjects.RULES_PUT, PutRule(found.document, _who()), RulePut)

    put = run(work)
    if put.errors:
        raise Failure("\n".join([f"{rule_id}: version {version} cannot be put again", *put.errors]))
    if as_json:
        print_json(msgspec.to_builtins(put))
    else:
        say(f"{rule_id}: version {put.version} is version {version} again" + ("" if put.changed else ", as it was"))


def delete(rule_id: RuleId, as_json: Json = False) -> None:
    """Let a rule go. Its versions stay on record, and one can be put again."""
    deleted = run(lambda bus: ask(bus, SERVICE, subjects.RULES_DELETE, DeleteRule(rule_id, _who()), RuleDeleted))
    if not deleted.version:
        raise Failure(f"there is no rule {rule_id}")
    if as_json:
        print_json(msgspec.to_builtins(deleted))
    else:
        say(f"{rule_id}: deleted, which is version {deleted.version}")


def schema() -> None:
    """The JSON Schema of a rule document, for editors."""
    say(run(lambda bus: ask(bus, SERVICE, subjects.RULES_SCHEMA, GetSchema(), SchemaFound)).schema)


def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Rule documents.")], as_json: Json = False
) -> None:
    """Check rule documents without any server and without storing them."""
    results: list[dict[str, Any]] = []
    for file in files:
        try:
            readings = [parse_document(text) for text in markup.load_all(read(file))]
        except markup.MarkupError as error:
            results.append({"file": str(file), "rules": [], "errors": [str(error)], "warnings": []})
            continue
        results.append(
            {
                "file": str(file),
                "rules": [reading.rule.id for reading in readings if reading.rule is not None],
                "errors": [
                    f"rule {number}: {error}" if len(readings) > 1 else error
                    for number, reading in enumerate(readings, 1)
                    for error in reading.errors
                ],
                "warnings": [warning for reading in readings for warning in reading.warnings],
            }
        )
    if as_json:
        print_json(results)
    else:
        for result in results:
            for flaw in result["errors"]:
                say(f"{result['file']}: {flaw}")
            for warning in result["warnings"]:
                say(f"{result['file']}: warning: {warning}")
            if not result["errors"]:
                say(f"{result['file']}: good ({', '.join(result['rules'])})")
    if flawed := sum(bool(result["errors"]) for result in results):
        raise Failure(f"{flawed} of {len(results)} files are flawed")


def sweep(as_json: Json = False) -> None:
    """How far everybody has been looked at since conditions were last changed; waits until all have been."""
    said = run(lambda bus: ask(bus, "the state service", subjects.SWEEP_PROGRESS, GetSweep(), SweepProgress))
    if as_json:
        print_json(msgspec.to_builtins(said))
        return
    if said.revision and said.partitions_done < said.partitions:
        said = run(_watch)
    say(f"revision {said.revision}: {said.seen} people looked at, {said.armed} timers set, {said.seconds:.1f} s")


async def _watch(bus: Bus) -> SweepProgress:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("people")
        while True:
            said = await ask(bus, "the state service", subjects.SWEEP_PROGRESS, GetSweep(), SweepProgress)
            description = f"{said.seen} people, {said.armed} timers set; partitions"
            progress.update(task, description=description, completed=said.partitions_done, total=said.partitions)
            if said.partitions_done >= said.partitions:
                return said
            await asyncio.sleep(POLL_S)


def _version(one: RuleSummary) -> dict[str, Any]:
    live_since = rfc3339(one.live_since) if one.live_since is not None else None
    return {**msgspec.to_builtins(one), "changed_at": rfc3339(one.changed_at), "live_since": live_since}


def _who() -> str:
    return os.environ.get("USER", "")
