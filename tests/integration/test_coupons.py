"""Coupons on real servers: a code belongs to one mail, and comes back when the mail does not go."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.mailer.coupons import codes
from services.mailer.coupons.handing import Coupons
from services.mailer.coupons.store import Store
from shared.clock import SECOND, SystemClock
from shared.messages import EmailAction, Event, Terms, Trigger
from tests.support.command import Ran, beckon
from tests.support.mailing import People, allowed, outcome_of, publish, reaches, settled, start, status_of
from tests.support.smtp import SmtpServer
from tests.support.stack import Stack, until

SUBJECT = "{% if coupon %}{{ coupon.text }}: {{ coupon.code }}{% else %}no code{% endif %}"
INSISTS = "Your code: {{ coupon.code }}"


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """``asks``: does without a code; ``insists``: does not."""
    for name, subject in (("asks", SUBJECT), ("insists", INSISTS)):
        folder = tmp_path / "templates" / name
        folder.mkdir(parents=True)
        (folder / "subject.liquid").write_text(subject)
        (folder / "html.liquid").write_text("<p>{{ person.first_name }}</p>")
        (folder / "text.liquid").write_text("{{ coupon.expires }}" if name == "insists" else "hello")
    return tmp_path / "templates"


@pytest.fixture
async def operator(stack: Stack, people: People, smtp: SmtpServer, templates: Path) -> "Operator":
    await start(stack, smtp, TEMPLATES_DIR=str(templates), TEST_RECIPIENTS="qa@example.test")
    return Operator(stack, templates.parent)


class Operator:
    def __init__(self, stack: Stack, folder: Path) -> None:
        self._url = stack.nats.url("operator")
        self._folder = folder

    async def __call__(self, *words: str) -> Ran:
        return await beckon(self._url, "coupons", *words)

    async def puts(self, document: str) -> Ran:
        (self._folder / "coupon.yaml").write_text(document)
        return await self("apply", str(self._folder / "coupon.yaml"))

    async def adds(self, coupon: str, *given: str) -> Ran:
        (self._folder / "codes.txt").write_text("\n".join(given))
        return await self("add", coupon, str(self._folder / "codes.txt"))

    async def one(self, coupon: str) -> dict[str, Any]:
        return next(each for each in (await self("list", "--json")).json() if each["id"] == coupon)


def sends(person: str, template: str, coupon: str, *, test: bool = False, **more: Any) -> Trigger:
    return allowed(person, terms=Terms(EmailAction(template, coupon), test=test), **more)


def subjects_of(smtp: SmtpServer) -> dict[str, str]:
    return {str(mail["To"]).partition("@")[0]: str(mail["Subject"]) for mail in smtp.received}


async def test_each_mail_has_a_code_of_its_own(operator: Operator, stack: Stack, smtp: SmtpServer) -> None:
    assert (await operator.puts("{id: back, kind: generated, prefix: BACK, text: 10 % off, expires: 14d}")).code == 0
    triggers = [sends(f"person-{number}", "asks", "back") for number in range(20)]
    await publish(stack, *triggers, sends("tester", "asks", "back", test=True))
    await settled(stack)
    told = subjects_of(smtp)
    assert told.pop("qa") == "[test] 10 % off: TRIAL-CODE"
    handed = {each["person"]: each for each in (await operator("codes", "back", "--json")).json()}
    assert {person: f"10 % off: {each['code']}" for person, each in handed.items()} == told
    assert len(set(told.values())) == 20
    assert all(codes.plausible(each["code"]) and each["code"].startswith("BACK-") for each in handed.values())

    code = handed["person-7"]["code"]
    assert (await operator("check", code.lower())).out.startswith(
        f"{code.lower()}: coupon back, of person-7, handed out "
    )
    mistyped = code[:-1] + ("0" if code[-1] != "0" else "1")
    wrong = await operator("check", mistyped)
    assert (wrong.code, wrong.out) == (1, f"{mistyped}: none of ours, and mistyped if it was generated\n")
    rows = list(csv.DictReader(io.StringIO((await operator("codes", "back", "--csv")).out)))
    assert [row["code"] for row in rows] == [each["code"] for each in handed.values()]


async def test_a_pool_gives_each_code_once_and_gets_back_what_was_not_sent(
    operator: Operator, stack: Stack, people: People, smtp: SmtpServer
) -> None:
    assert (await operator.puts("{id: ten, kind: pool, low: 2}")).out == "ten: put\n"
    assert (await operator.adds("ten", "one", "two", "three", "TWO")).out == "ten: 3 codes added, 1 were known\n"
    assert (await operator.adds("ten", "one", "two", "three")).out == "ten: 0 codes added, 3 were known\n"
    smtp.answer("RCPT", "550 5.1.1 unknown")
    refused, first = sends("refused", "asks", "ten"), sends("ada", "asks", "ten")
    await publish(stack, refused)
    await settled(stack)
    assert await status_of(stack, refused) == "failed"
    assert (await operator.one("ten"))["free"] == 3
    await publish(stack, first)
    await settled(stack)
    assert subjects_of(smtp)["ada"] == ": one", "the first in the file is free again"
    summary = await operator.one("ten")
    assert (summary["free"], summary["handed_out"]) == (2, 1)


async def test_an_empty_pool_is_an_alarm_and_the_template_decides(
    operator: Operator, stack: Stack, smtp: SmtpServer
) -> None:
    await operator.puts("{id: ten, kind: pool}")
    asking = sends("ada", "asks", "ten")
    expires = SystemClock().now() + 6 * SECOND
    holding, late = sends("bob", "insists", "ten"), sends("cleo", "insists", "ten", expires=expires)
    await publish(stack, asking, holding, late)
    await reaches(stack, asking, "sent")
    assert subjects_of(smtp) == {"ada": "no code"}
    await reaches(stack, holding, "deferred")
    await reaches(stack, late, "expired", within_s=20)
    told = (await outcome_of(stack, late)).properties["reason"]
    assert told.endswith("; put off last because of insists needs a code, and no code of coupon ten is left")
    assert (await operator("list")).out.splitlines()[1].split() == ["ten", "pool", "0", "0", "0", "-"]


async def test_an_unknown_coupon_is_none(operator: Operator, stack: Stack, smtp: SmtpServer) -> None:
    await publish(stack, sends("ada", "asks", "nowhere"))
    await settled(stack)
    assert subjects_of(smtp) == {"ada": "no code"}


async def test_what_is_wrong_is_told(operator: Operator) -> None:
    assert (await operator.puts("{id: w, kind: fixed, code: A}")).code == 0
    other_kind = await operator.puts("{id: w, kind: pool}")
    assert other_kind.out.endswith("coupon.yaml: kind: a coupon of this id is of another kind, and keeps it\n")
    taken = await operator.puts("{id: v, kind: fixed, code: a}")
    assert taken.out.endswith("coupon.yaml: code: a belongs to another coupon\n")
    assert [each["id"] for each in (await operator("list", "--json")).json()] == ["w"], "nothing of it was stored"
    assert "says no: w is no coupon with a pool" in (await operator.adds("w", "x")).err
    await operator.puts("{id: p, kind: pool}")
    assert "says no: codes[1]: 'b c' is not" in (await operator.adds("p", "a", "b c")).err


# --- Many at once, and what comes back --------------------------------------------------------------------------------


@pytest.fixture
async def handing(operator: Operator, stack: Stack) -> AsyncIterator[Coupons]:
    """In this process, on the mailer's own tables."""
    async with asyncpg.create_pool(stack.database_url("mailer"), min_size=20, max_size=20) as pool:
        yield Coupons(Store(pool), SystemClock())


async def test_many_at_once_never_get_the_same_code(operator: Operator, handing: Coupons) -> None:
    await operator.puts("{id: ten, kind: pool}")
    await operator.adds("ten", *(f"code-{number}" for number in range(100)))
    triggers = [sends(f"person-{number}", "asks", "ten") for number in range(120)]

    async def got(trigger: Trigger) -> str:
        return str(dict(await handing.reserve(trigger, trial=False) or {}).get("code", ""))

    async def rounds(*asking: Trigger) -> list[tuple[str, str]]:
        codes = await asyncio.gather(*map(got, asking))
        return [(trigger.id, code) for trigger, code in zip(asking, codes, strict=True) if code]

    # Each is in hand twice, as after a redelivery; one that finds every code locked for a moment asks again later.
    found = {*await rounds(*triggers, *triggers), *await rounds(*triggers)}
    assert len({trigger for trigger, _ in found}) == len({code for _, code in found}) == len(found) == 100
    assert (await operator.one("ten"))["free"] == 0


async def test_a_purchase_redeems_a_code_once(operator: Operator, stack: Stack, handing: Coupons) -> None:
    await operator.puts("{id: back, kind: generated}")
    mine = dict(await handing.reserve(sends("ada", "asks", "back"), trial=False) or {})["code"]
    now = SystemClock().now()

    def bought(event: str, code: str, **more: Any) -> Event:
        return Event(event, "ada", "purchased", now, now, {"coupon": code, "product_id": "k1", **more})

    events = [bought("p1", mine.lower(), total=50, currency="EUR"), bought("p2", "another"), bought("p3", mine)]
    await stack.publish(*events)

    async def redeemed() -> bool:
        return bool((await operator.one("back"))["redeemed"] == 2)

    await until(redeemed, what="the mailer has heard of both purchases")
    await handing.on_events(events)  # as after a crash
    summary = await operator.one("back")
    assert (summary["handed_out"], summary["redeemed"], summary["revenue"]) == (1, 2, {"": 0.0, "EUR": 50.0})
    assert (await operator("check", mine)).out.splitlines()[1].startswith("redeemed 2")
