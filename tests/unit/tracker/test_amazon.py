"""Fetching from a server that is not as it should be."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from services.tracker.amazon import MAX_FETCHED, FetchFailed, fetch

Serve = Callable[[web.Response], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server that answers so; its address."""
    runners: list[web.ServerRunner] = []

    async def start(response: web.Response) -> str:
        async def answer(_: web.BaseRequest) -> web.Response:
            return response

        runners.append(web.ServerRunner(web.Server(answer)))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runners[-1].addresses[0][1]}/certificate.pem"

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_what_stands_there_is_fetched(serve: Serve) -> None:
    assert await fetch(await serve(web.Response(body=b"x" * MAX_FETCHED))) == b"x" * MAX_FETCHED


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (web.Response(status=302, headers={"Location": "http://169.254.169.254/"}), "answered 302"),
        (web.Response(status=404), "answered 404"),
        (web.Response(body=b"x" * (MAX_FETCHED + 1)), "more than 65536 bytes"),
    ],
)
async def test_it_leads_nowhere_else_and_ends(serve: Serve, response: web.Response, reason: str) -> None:
    with pytest.raises(FetchFailed, match=reason):
        await fetch(await serve(response))


async def test_nobody_is_there() -> None:
    with pytest.raises(FetchFailed):
        await fetch("http://127.0.0.1:1/certificate.pem")
