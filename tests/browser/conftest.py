from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.support import browser as chromium
from tests.support.browser import Site


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium.opened() as browser:
        yield browser


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = await Site().start()
    yield site
    await site.stop()
