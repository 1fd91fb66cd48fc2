"""The sample shop as a process: what it serves, to whom it lets its pages speak, and how it ends."""

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from services.local.process import Process, spawn
from tests.support.stack import ROOT, until


def get(url: str) -> tuple[int, Message, bytes]:
    """Status, headers, body."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def start(folder: Path, **environ: str) -> Process:
    ports = {"HTTP_PORT": "0", "HEALTH_PORT": "0"}
    command = [sys.executable, "-m", "services.shop"]
    return spawn("shop", command, log=folder / "shop.log", env={**ports, **environ}, cwd=ROOT)


class Shop:
    def __init__(self, process: Process, started: dict[str, Any]) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{started['http_port']}"
        self.health = f"http://127.0.0.1:{started['health_port']}"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    process = start(tmp_path, WRITE_KEY="wk", TRACKER_PUBLIC_URL="https://events.shop.example")

    async def started() -> dict[str, Any]:
        lines = [json.loads(line) for line in process.tail().splitlines() if line.startswith("{")]
        return next((line for line in lines if line["event"] == "shop_started"), {})

    yield Shop(process, await until(started, what="the shop started"))
    await process.stop(budget_s=5)


async def test_it_serves_its_folder_and_nothing_else(shop: Shop) -> None:
    def statuses(*paths: str) -> list[int]:
        return [get(shop.url + path)[0] for path in paths]

    status, headers, page = await asyncio.to_thread(get, f"{shop.url}/products/mug")
    assert (status, headers.get_content_type()) == (200, "text/html")
    assert b"<script src=" in page
    policy = headers["Content-Security-Policy"]
    assert policy.startswith(
        "default-src 'self'; script-src 'self' https://events.shop.example; connect-src 'self' https:"
    )
    assert "unsafe" not in policy
    _, _, config = await asyncio.to_thread(get, f"{shop.url}/config.json")
    assert json.loads(config) == {"tracker": "https://events.shop.example", "write_key": "wk", "inbox": ""}

    found = await asyncio.to_thread(statuses, "/", "/shop.css", "/js/pages/cart.js", "/pictures/mug.png", "/cart")
    assert found == [200] * 5
    missing = await asyncio.to_thread(statuses, "/pictures/unicorn.png", "/../../README.md", "/%2e%2e/policy.yaml")
    assert missing == [404] * 3
    _, headers, _ = await asyncio.to_thread(get, f"{shop.url}/unicorn.png")
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_it_says_how_it_is_and_ends_when_it_is_told_to(shop: Shop) -> None:
    assert (await asyncio.to_thread(get, f"{shop.health}/healthz"))[0] == 200
    assert (await asyncio.to_thread(get, f"{shop.health}/readyz"))[0] == 200
    assert await shop.process.stop(budget_s=5) == 0
    assert "shop_stopped" in shop.process.tail()


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "WRITE_KEY is not set"),
        ({"WRITE_KEY": "wk", "SHOP_DIR": "examples"}, "SHOP_DIR: there is no index.html in 'examples'"),
        (
            {"WRITE_KEY": "wk", "TRACKER_PUBLIC_URL": "https://a.example; script-src *"},
            "TRACKER_PUBLIC_URL must be an origin like https://events.shop.example",
        ),
    ],
)
async def test_a_bad_setting_is_named(tmp_path: Path, environ: dict[str, str], reason: str) -> None:
    process = start(tmp_path, **environ)
    assert await process.wait() == 2
    assert f"beckon shop: {reason}" in process.tail()


def test_every_product_has_its_pictures() -> None:
    folder = ROOT / "examples/shop"
    products = {product["product_id"] for product in json.loads((folder / "products.json").read_text(encoding="utf-8"))}
    assert {path.stem for path in folder.glob("pictures/*.png")} == products
    assert {path.stem for path in folder.glob("drawings/*.svg")} == products
