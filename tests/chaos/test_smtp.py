"""A misbehaving SMTP server, and kill -9 of the mailer at the worst moment, in every combination: nothing goes twice, nothing
is lost, and exactly those mails are uncertain that were cut off between their end and the answer. Where a rule wants such a mail
to go once more it does, and no third time.

One mail is on its way at a time, so a kill hits this one and it is known what must become of it.
"""

import asyncio
import itertools
import json
import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from shared.messages import EmailAction, Terms
from tests.support.mailing import People, allowed, outcomes, publish, settled, start
from tests.support.smtp import CUT, DATA, DROP, GO, HANG, MAIL, RCPT, SLOW, STAGES, TLS, SmtpServer, certificate
from tests.support.stack import ROOT, Service, Stack, until

pytestmark = pytest.mark.unwatched

EVERYTHING = int(os.environ.get("CHAOS_ROUNDS", "5")) > 1
AFTER = "AFTER"
"""Some milliseconds after the content was accepted."""
MOMENTS = ("", MAIL, RCPT, GO, DATA, AFTER)


class Fault(NamedTuple):
    """``answers``: the first ones at that stage. ``outcomes``: what may become of the mail if nobody dies."""

    stage: str
    answers: tuple[str, ...]
    outcomes: tuple[str, ...] = ("sent",)

    @property
    def last(self) -> bool:
        """The mail comes no further than to this stage."""
        return "sent" not in self.outcomes


CUT_SHORT = Fault(GO, (CUT,), ("sent", "uncertain"))
"""The server ends in the midst of the content. Whether its end was on its way by then cannot be known."""

FAULTS = {
    "none": Fault(MAIL, ()),
    "slow": Fault(RCPT, (SLOW,)),
    "slow after the dot": Fault(DATA, (SLOW,)),
    "tls broken": Fault(TLS, (DROP,)),
    **{f"{stage} 4xx": Fault(stage, ("451 4.3.0 not now",)) for stage in (MAIL, RCPT, GO, DATA)},
    **{f"{stage} 5xx": Fault(stage, ("554 5.6.0 never",), ("failed",)) for stage in (MAIL, RCPT, GO, DATA)},
    **{f"{stage} reset": Fault(stage, (DROP,)) for stage in (MAIL, RCPT, GO)},
    **{f"{stage} hang": Fault(stage, (HANG,)) for stage in (MAIL, RCPT, GO)},
    "greylisting": Fault(RCPT, ("451 4.7.1 greylisted", "451 4.7.1 greylisted")),
    "421": Fault(RCPT, ("421 4.7.0 too many connections",)),
    "content reset": CUT_SHORT,
    "reset after the dot": Fault(DATA, (DROP,), ("uncertain",)),
    "hang after the dot": Fault(DATA, (HANG,), ("uncertain",)),
}


class Cell(NamedTuple):
    """``again``: the rule says ``uncertain: retry_once``."""

    fault: Fault
    moment: str
    again: bool = False

    @property
    def possible(self) -> bool:
        """Whether the mail surely comes as far as to the moment of the kill."""
        if self.moment == AFTER:
            return "sent" in self.fault.outcomes and self.fault is not CUT_SHORT
        if self.moment == DATA and self.fault is CUT_SHORT:
            return False
        return not (self.moment and self.fault.last and STAGES.index(self.moment) > STAGES.index(self.fault.stage))

    @property
    def outcomes(self) -> tuple[str, ...]:
        if self.again:
            return ("sent",)
        if self.moment == AFTER:
            return "sent", "uncertain"
        if self.moment == DATA:
            return ("uncertain",)
        return ("sent",) if self.moment == self.fault.stage else self.fault.outcomes


class Script:
    """Plays one cell after the other. Called in the server's thread."""

    def __init__(self) -> None:
        self.victim: Service | None = None
        self.killed = threading.Event()
        self._chance = random.Random(1)
        self._answers: list[str] = []
        self._cell = Cell(FAULTS["none"], "")

    def begin(self, cell: Cell) -> None:
        self._cell, self._answers = cell, list(cell.fault.answers)
        self.killed.clear()

    def __call__(self, stage: str, _recipient: str) -> str | None:
        if stage == self._cell.moment and not self.killed.is_set():
            self._kill()
        answer = self._answers.pop(0) if stage == self._cell.fault.stage and self._answers else None
        if stage == DATA and self._cell.moment == AFTER and answer in (None, SLOW) and not self.killed.is_set():
            threading.Timer(self._chance.uniform(0, 0.015), self._kill).start()
        return answer

    def _kill(self) -> None:
        assert self.victim is not None
        self.victim.process.send(signal.SIGKILL)
        self.killed.set()


def cells() -> list[Cell]:
    """All of them, or those without a kill and some with one: each fault and each moment."""
    possible = [cell for cell in itertools.starmap(Cell, itertools.product(FAULTS.values(), MOMENTS)) if cell.possible]
    possible += [cell._replace(again=True) for cell in possible if "uncertain" in cell.outcomes]
    if EVERYTHING:
        return possible
    return [cell for number, cell in enumerate(possible) if not cell.moment or number % 11 == 0]


@pytest.mark.chaos
@pytest.mark.timeout(900)
async def test_every_fault_with_every_kill(stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script, people = Script(), People()
    await people.serve(stack)
    smtp = SmtpServer(tls=certificate(tmp_path)[0], script=script).start()
    played: dict[str, Cell] = {}
    wrong: list[str] = []
    kills = 0
    try:
        script.victim = await begin(stack, smtp)
        for number, cell in enumerate(cells()):
            people.profiles[f"person-{number}"] = {"email": f"ada@{number}.test"}
            action = EmailAction("cart-reminder", uncertain="retry_once" if cell.again else "hold")
            trigger = allowed(f"person-{number}", terms=Terms(action))
            played[trigger.id] = cell
            script.begin(cell)
            if cell.fault.stage == TLS:
                smtp.disconnect()
            await publish(stack, trigger)
            if cell.moment:
                await until(lambda: asyncio.to_thread(script.killed.is_set), what=f"{cell}: the kill")
                kills += 1
                script.victim = await begin(stack, smtp)
            await settled(stack)
        rows = await stack.fetch("SELECT send_id, status FROM mailer.deliveries")
        told = await outcomes(stack)
    finally:
        smtp.stop()
    ended = {row["send_id"]: row["status"] for row in rows}
    ends = Counter(mail["Message-ID"] for mail in smtp.received)
    accepted = smtp.accepted()
    for send, cell in played.items():
        if accepted[message_id(send)] > 1 + cell.again:
            wrong.append(f"{cell}: accepted {accepted[message_id(send)]} times")
        if ended.get(send) not in cell.outcomes:
            wrong.append(f"{cell}: {ended.get(send)}")
        if ended.get(send) == "uncertain" and cell.fault is not CUT_SHORT and not ends[message_id(send)]:
            wrong.append(f"{cell}: uncertain, though its end never came")
    counted = Counter(ended.values())
    lost = [send for send, status in ended.items() if status == "sent" and not accepted[message_id(send)]]
    report = {
        "cells": len(played),
        "kills": kills,
        **dict(sorted(counted.items())),
        "accepted": sum(accepted.values()),
        "wanted again": sum(cell.again for cell in played.values()),
        "went again": sum(accepted[message_id(send)] > 1 for send, cell in played.items() if cell.again),
        "duplicates": sum(accepted[message_id(send)] > 1 for send, cell in played.items() if not cell.again),
        "lost": len(lost),
        "pending": len(played) - sum(counted[status] for status in ("sent", "failed", "uncertain")),
        "told": len(told),
    }
    with capsys.disabled():
        print("\n  SMTP faults and kill -9: " + ", ".join(f"{name} {count}" for name, count in report.items()))
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build/chaos-smtp.json").write_text(json.dumps(report, indent=2) + "\n")
    assert wrong == []
    assert (report["duplicates"], report["lost"], report["pending"]) == (0, 0, 0)
    assert report["told"] == len(played)
    assert all(len({event.name for event in events} - {"email_bounced"}) == 1 for events in told.values())


def message_id(send: str) -> str:
    return f"<{send}@example.test>"


async def begin(stack: Stack, smtp: SmtpServer) -> Service:
    return await start(
        stack,
        smtp,
        CONCURRENCY="1",
        SMTP_POOL="1",
        SMTP_TLS="required",
        SMTP_TLS_VERIFY="false",
        SMTP_TIMEOUT_S="0.6",
        SMTP_DATA_TIMEOUT_S="0.6",
        RETRY_FIRST_S="0.1",
        ACK_WAIT_S="1",
    )
