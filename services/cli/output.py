"""What is printed: tables for people, JSON for programs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from services.cli.failure import Failure
from shared.clock import Instant, to_datetime

ENDLESS = 10_000
"""Columns of a file or a pipe."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def say(line: str) -> None:
    """A line as it is, whatever it holds, however long."""
    Console(highlight=False, soft_wrap=True).print(line, markup=False)


def print_json(value: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def tell_put(answer: Struct, file: Path, errors: Sequence[str], what: str, done: str, *, as_json: bool) -> None:
    """What became of a document that was put: ``done``, or every error. Raises ``Failure`` if there is any."""
    if as_json:
        print_json(msgspec.to_builtins(answer))
    else:
        for line in [f"{file}: {error}" for error in errors] or [done]:
            say(line)
    if errors:
        raise Failure(f"the {what} was refused")


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str]], empty: str) -> None:
    """``empty`` is said if there is no row. Rows are folded only where a terminal is too narrow for them."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    if not table.row_count:
        say(empty)
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = ENDLESS
    console.print(table)


def plain(cell: str) -> str:
    """On one line, with nothing that a table would take for markup."""
    return " ".join(cell.split()).replace("[", "\\[")


def shown(instant: Instant | None) -> str:
    """To the second, UTC."""
    return f"{to_datetime(instant):%Y-%m-%d %H:%M:%S}Z" if instant is not None else "-"


def read(path: Path) -> str:
    """Raises ``Failure``."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", code=2) from None
    except UnicodeDecodeError:
        raise Failure(f"{path}: is not text in UTF-8", code=2) from None
