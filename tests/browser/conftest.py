from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from services.local.postgres import free_port
from tests.support import browser as chromium
from tests.support.browser import Site
from tests.support.stack import Stack
from tests.support.tracker import Tracker


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium.opened() as browser:
        yield browser


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = await Site().start()
    yield site
    await site.stop()


@pytest.fixture
async def tracker(stack: Stack) -> AsyncIterator[Tracker]:
    tracker = Tracker(stack, free_port())
    await tracker.start()
    yield tracker
    await tracker.http.close()
