"""Whom the mailer and the webhook service speak with."""

from collections.abc import AsyncIterator

import pytest

from tests.support.mailing import People
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
