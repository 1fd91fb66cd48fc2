"""``beckon coupons apply|add|list|codes|check``."""

import csv
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.output import Json, print_json, print_table, read, say, tell_put
from shared import subjects
from shared.bus import Bus
from shared.clock import rfc3339
from shared.coupons import (
    MOST_CODES,
    AddCodes,
    CheckCode,
    CodeChecked,
    CodesAdded,
    CodesRead,
    CouponPut,
    CouponsListed,
    CouponSummary,
    HandedOut,
    ListCoupons,
    PutCoupon,
    ReadCodes,
)

app = typer.Typer(no_args_is_help=True)

SERVICE = "the mailer"
COLUMNS = "code", "person", "handed out", "expires", "redeemed"


@app.command()
def apply(file: Annotated[Path, typer.Argument(metavar="FILE")], as_json: Json = False) -> None:
    """Put a coupon: what it is, and where its codes come from."""
    request = PutCoupon(read(file), os.environ.get("USER", ""))
    answer = run(lambda bus: ask(bus, SERVICE, subjects.COUPONS_PUT, request, CouponPut))
    tell_put(answer, file, answer.errors, "coupon", f"{answer.id}: put", as_json=as_json)


@app.command()
def add(
    coupon: Annotated[str, typer.Argument(metavar="COUPON")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One code a line.")],
    as_json: Json = False,
) -> None:
    """Put codes into a pool. Those that are there already are left as they are, so it can be repeated."""
    codes = list(_lines(read(file)))
    if not codes:
        raise Failure(f"{file}: there is no code in it")

    async def work(bus: Bus) -> CodesAdded:
        total = CodesAdded(0, 0)
        for start in range(0, len(codes), MOST_CODES):
            request = AddCodes(coupon, codes[start : start + MOST_CODES])
            answer = await ask(bus, SERVICE, subjects.COUPONS_ADD, request, CodesAdded)
            total = CodesAdded(total.added + answer.added, total.known + answer.known)
        return total

    answer = run(work)
    if as_json:
        print_json(msgspec.to_builtins(answer))
    else:
        say(f"{coupon}: {answer.added} codes added, {answer.known} were known")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every coupon, and what became of its codes."""
    found = run(lambda bus: ask(bus, SERVICE, subjects.COUPONS_LIST, ListCoupons(), CouponsListed)).coupons
    if as_json:
        print_json([msgspec.to_builtins(each) for each in found])
    else:
        print_table(
            ("coupon", "kind", "text", "left", "handed out", "redeemed", "revenue"), map(_row, found), "no coupons"
        )


@app.command()
def codes(
    coupon: Annotated[str, typer.Argument(metavar="COUPON")],
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV, for the shop.")] = False,
    as_json: Json = False,
) -> None:
    """The codes that were handed out, and to whom."""

    async def work(bus: Bus) -> list[HandedOut]:
        return [each async for each in _handed_out(bus, coupon)]

    found = run(work)
    if as_json:
        print_json([_told(each) for each in found])
    elif as_csv:
        writer = csv.DictWriter(
            sys.stdout, ["code", "person", "send", "at", "expires", "redeemed"], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(_told(each) for each in found)
    else:
        rows = ([each.code, each.person, *map(_at, (each.at, each.expires, each.redeemed))] for each in found)
        print_table(COLUMNS, rows, "no code was handed out")


@app.command()
def check(code: Annotated[str, typer.Argument(metavar="CODE")], as_json: Json = False) -> None:
    """Whether a code is one of ours, and whose."""
    found = run(lambda bus: ask(bus, SERVICE, subjects.COUPONS_CHECK, CheckCode(code), CodeChecked))
    if as_json:
        print_json({**msgspec.to_builtins(found), "handed_out": found.handed_out and _told(found.handed_out)})
    elif not found.coupon:
        say(f"{code}: none of ours{', and mistyped if it was generated' if found.mistyped else ''}")
    elif (given := found.handed_out) is None:
        say(f"{code}: coupon {found.coupon}, nobody's own")
    else:
        say(
            f"{code}: coupon {found.coupon}, of {given.person}, handed out {_at(given.at)}, expires {_at(given.expires)}"
        )
        say(f"redeemed {_at(given.redeemed)}")
    if not found.coupon:
        raise Failure("the code is not known")


async def _handed_out(bus: Bus, coupon: str) -> AsyncIterator[HandedOut]:
    after, done = 0, False
    while not done:
        answer = await ask(bus, SERVICE, subjects.COUPONS_CODES, ReadCodes(coupon, after), CodesRead)
        for each in answer.codes:
            yield each
            after = each.number
        done = answer.done


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip())


def _row(found: CouponSummary) -> list[str]:
    revenue = ", ".join(f"{total:,.2f} {currency}".strip() for currency, total in sorted(found.revenue.items()))
    left, out = ("-" if number is None else str(number) for number in (found.free, found.handed_out))
    return [found.id, found.kind, found.text, left, out, str(found.redeemed), revenue or "-"]


def _told(each: HandedOut) -> dict[str, Any]:
    times = {"at": each.at, "expires": each.expires, "redeemed": each.redeemed}
    instants = {name: None if at is None else rfc3339(at) for name, at in times.items()}
    return {"code": each.code, "person": each.person, "send": each.send, **instants}


def _at(instant: int | None) -> str:
    return "-" if instant is None else rfc3339(instant)
