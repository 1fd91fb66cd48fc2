"""Whom the mailer and the webhook service speak with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.desk import Desk
from tests.support.mailing import People
from tests.support.receiver import Receiver
from tests.support.smtp import SmtpServer
from tests.support.stack import Stack


@pytest.fixture
async def people(stack: Stack) -> People:
    people = People()
    await people.serve(stack)
    return people


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpServer]:
    server = SmtpServer().start()
    yield server
    server.stop()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = await Receiver().start()
    yield receiver
    for held in receiver.held.values():
        held.set()
    await receiver.stop()


@pytest.fixture
def desk(stack: Stack, tmp_path: Path) -> Desk:
    folder = tmp_path / "desk"
    folder.mkdir()
    return Desk(stack, folder)
