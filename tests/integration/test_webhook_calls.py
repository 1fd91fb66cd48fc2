"""One call of an endpoint on real sockets: where it goes, and what is made of the answer."""

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.webhook.addresses import read_allowed
from services.webhook.caller import Caller
from services.webhook.gate import Gate, Refused
from shared.clock import SECOND, SystemClock
from shared.webaddress import web_address
from tests.support.receiver import Receiver

OUTSIDE = "127.0.0.2"
"""Stands for an address on the internet: the only one that these callers may call."""
NAME = "hooks.example.test"


class Names:
    """A name server: each lookup gets the next answer, the last one again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def lookup(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


Calling = Callable[..., Awaitable[Caller]]


@pytest.fixture
async def calling() -> AsyncIterator[Calling]:
    callers: list[Caller] = []

    async def make(names: Names, tls: ssl.SSLContext | None = None, timeout_s: float = 5) -> Caller:
        gate = Gate(read_allowed([f"{OUTSIDE}/32"]), names.lookup)
        callers.append(Caller(gate, SystemClock(), timeout_s=timeout_s, tls=tls))
        return callers[-1]

    yield make
    for caller in callers:
        await caller.close()


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's with a certificate for ``NAME``, and a client's that believes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "pem").write_bytes(pem + private)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "pem")
    return server, ssl.create_default_context(cadata=pem.decode())


@pytest.fixture
async def outside(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Receiver]:
    receiver = await Receiver(OUTSIDE).start(contexts[0])
    yield receiver
    await receiver.stop()


# --- Where it goes ----------------------------------------------------------------------------------------------------


async def test_it_goes_to_the_address_that_was_looked_at_under_its_own_name(
    calling: Calling, outside: Receiver, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    names = Names([OUTSIDE])
    caller = await calling(names, contexts[1])
    for _ in range(3):
        answer = await caller.call(web_address(outside.url("/hook", NAME)), {"webhook-id": "t1"}, b"{}")
        assert (answer.status, answer.verdict) == (204, "taken")
    assert names.asked == [NAME], "one connection, used again"
    assert {received.headers["Host"] for received in outside.received} == {f"{NAME}:{outside.port}"}
    # The certificate is for the name, and was asked for by the name.
    other = await calling(Names([OUTSIDE]), contexts[1])
    answer = await other.call(web_address(outside.url("/hook", "other.example.test")), {}, b"{}")
    assert (answer.status, answer.verdict) == (0, "troubled")
    assert "certificate" in answer.error


async def test_a_name_that_turns_inside_after_the_first_look_is_refused(
    calling: Calling, outside: Receiver, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """DNS rebinding: every connection is made to the address of its own lookup, and that one is looked at."""
    inside = await Receiver("127.0.0.1").start(contexts[0])
    inside_too = web_address(f"https://{NAME}:{inside.port}/")
    try:
        names = Names([OUTSIDE], ["127.0.0.1"])
        caller = await calling(names, contexts[1])
        assert (await caller.call(web_address(outside.url("/hook", NAME)), {}, b"{}")).status == 204
        with pytest.raises(Refused, match=f"{NAME} is at 127.0.0.1, which is not on the internet"):
            await caller.call(inside_too, {}, b"{}")
        assert names.asked == [NAME, NAME]
        mixed = await calling(Names([OUTSIDE, "127.0.0.1"]), contexts[1])
        with pytest.raises(Refused):
            await mixed.call(inside_too, {}, b"{}")
        assert inside.received == []
    finally:
        await inside.stop()


@pytest.mark.parametrize(
    "answer", ["10.0.0.1", "169.254.169.254", "fd00::1", "::ffff:10.0.0.1", "fe80::1%lo", "nonsense"]
)
async def test_names_of_what_is_not_on_the_internet_are_refused(calling: Calling, answer: str) -> None:
    caller = await calling(Names([answer]))
    with pytest.raises(Refused):
        await caller.call(web_address(f"https://{NAME}/"), {}, b"{}")


async def test_the_proxies_of_the_environment_are_not_used(
    calling: Calling, monkeypatch: pytest.MonkeyPatch, outside: Receiver
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, outside.url())
        monkeypatch.setenv(variable.lower(), outside.url())
    caller = await calling(Names([OUTSIDE]))
    nobody = web_address(f"http://{OUTSIDE}:{_closed_port()}/")
    answer = await caller.call(nobody, {}, b"{}")
    assert (answer.status, answer.verdict) == (0, "troubled")
    assert "Cannot connect" in answer.error
    assert outside.received == []


def _closed_port() -> int:
    with socket.socket() as closed:
        closed.bind((OUTSIDE, 0))
        port: int = closed.getsockname()[1]
        return port


# --- What is made of the answer ---------------------------------------------------------------------------------------


class Wire:
    """A server that writes what it is told, and then waits until the other side goes."""

    def __init__(self, *parts: bytes, forever: bool = False) -> None:
        self.parts = parts
        self.forever = forever
        self.sent = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._serve, OUTSIDE, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for part in self.parts:
                writer.write(part)
            await writer.drain()
            while self.forever:
                writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                await writer.drain()
                self.sent += 4096
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("wire", "status", "error"),
    [
        (Wire(), 0, "no answer within 1 s"),
        (Wire(HEAD), 0, "no answer within 1 s"),
        (Wire(b"SSH-2.0-OpenSSH_9.2\r\n"), 0, "*"),
        (Wire(HEAD + b"x: " + b"y" * 100_000 + b"\r\n\r\n"), 0, "*"),
        (Wire(HEAD + b"content-length: 5\r\n\r\nab"), 200, ""),
        (Wire(HEAD + b"transfer-encoding: chunked\r\n\r\n", forever=True), 200, ""),
        (Wire(HEAD + b"content-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"), 200, ""),
        (Wire(b"HTTP/1.1 307 Away\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n"), 307, ""),
    ],
)  # fmt: skip
async def test_whatever_comes_back_is_an_answer_in_time(calling: Calling, wire: Wire, status: int, error: str) -> None:
    """A 2xx is one whatever its body does; and of that no more is read than fits in a buffer."""
    caller = await calling(Names([OUTSIDE]), timeout_s=1)
    async with wire:
        answer = await caller.call(web_address(f"http://{OUTSIDE}:{wire.port}/token"), {}, b"{}")
    assert answer.status == status
    assert bool(answer.error) == bool(error)
    assert error in ("*", answer.error)
    assert "token" not in answer.error
    assert answer.took < 2 * SECOND
    assert wire.sent < 8 * 2**20
