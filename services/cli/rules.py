"""``beckon rules``: what can be done with rule documents."""

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from services.cli import backtest, versions
from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.output import Json, print_json, print_table, read, say, shown
from shared import subjects
from shared.bus import Bus
from shared.clock import rfc3339
from shared.rules import GetRule, ListRules, PutRule, RuleFound, RulePut, RulesListed, RuleSummary

app = typer.Typer(no_args_is_help=True)
app.command("backtest")(backtest.command)
app.command("versions")(versions.versions)
app.command("diff")(versions.diff)
app.command("rollback")(versions.rollback)
app.command("delete")(versions.delete)
app.command("schema")(versions.schema)
app.command("test")(versions.check)
app.command("sweep")(versions.sweep)

SERVICE = "the rule-evaluator"
SUFFIXES = (".yaml", ".yml", ".json")


@app.command()
def apply(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Rule documents, or folders of them.")],
    as_json: Json = False,
) -> None:
    """Put rules: each is checked whole and becomes a new version if it differs from the current one."""
    files = [(file, read(file)) for path in paths for file in _documents(path)]

    async def work(bus: Bus) -> list[tuple[Path, RulePut]]:
        by = os.environ.get("USER", "")
        return [(file, await ask(bus, SERVICE, subjects.RULES_PUT, PutRule(text, by), RulePut)) for file, text in files]

    answers = run(work)
    if as_json:
        print_json([{"file": str(file), **msgspec.to_builtins(answer)} for file, answer in answers])
    else:
        for file, answer in answers:
            _report(file, answer)
    if flawed := sum(bool(answer.errors) for _, answer in answers):
        raise Failure(f"{flawed} of {len(answers)} rules refused")


def _documents(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    if not files:
        raise Failure(f"{path}: holds no {', '.join(SUFFIXES)}", code=2)
    return files


def _report(file: Path, answer: RulePut) -> None:
    for error in answer.errors:
        say(f"{file}: {error}")
    if not answer.errors:
        say(f"{answer.id}: version {answer.version}" + ("" if answer.changed else ", unchanged"))
    for warning in answer.warnings:
        say(f"{file}: warning: {warning}")


@app.command("list")
def list_rules(as_json: Json = False) -> None:
    """Every rule, in its current version."""
    rules = run(lambda bus: ask(bus, SERVICE, subjects.RULES_LIST, ListRules(), RulesListed)).rules
    if as_json:
        print_json([_summary(rule) for rule in rules])
        return
    rows = [
        (rule.id, rule.status, str(rule.version), shown(rule.live_since), shown(rule.changed_at), rule.name)
        for rule in rules
    ]
    print_table(("rule", "status", "version", "live since", "changed", "name"), rows, "no rules yet")


@app.command()
def show(
    rule_id: Annotated[str, typer.Argument(metavar="ID")],
    version: Annotated[int, typer.Option(min=0, help="0 is the current one.")] = 0,
    as_json: Json = False,
) -> None:
    """The document as it was put."""
    found = run(lambda bus: ask(bus, SERVICE, subjects.RULES_GET, GetRule(rule_id, version), RuleFound))
    if found.summary is None:
        raise Failure(f"there is no rule {rule_id}" + (f" in version {version}" if version else ""))
    if as_json:
        print_json({**_summary(found.summary), "document": found.document})
    else:
        say(found.document.rstrip("\n"))


def _summary(rule: RuleSummary) -> dict[str, Any]:
    return {
        "id": rule.id,
        "version": rule.version,
        "name": rule.name,
        "status": rule.status,
        "changed_at": rfc3339(rule.changed_at),
        "live_since": rfc3339(rule.live_since) if rule.live_since is not None else None,
    }
