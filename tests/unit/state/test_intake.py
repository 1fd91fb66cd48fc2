import msgspec
import pytest

from services.state import intake
from shared.clock import SECOND
from shared.messages import Event

GOOD = Event(id="e1", person="ada", name="page_viewed", timestamp=1_700_000_000 * SECOND, received=0)


def test_a_good_event_is_read() -> None:
    assert intake.decode(msgspec.msgpack.encode(GOOD)) == GOOD


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xc1",
        msgspec.msgpack.encode({"t": "event"}),
        msgspec.msgpack.encode(msgspec.structs.replace(GOOD, person="a\0b")),
        msgspec.msgpack.encode(msgspec.structs.replace(GOOD, id="a\0b")),
        msgspec.msgpack.encode(msgspec.structs.replace(GOOD, timestamp=-1)),
        msgspec.msgpack.encode(msgspec.structs.replace(GOOD, timestamp=2**62)),
    ],
)
def test_what_can_never_become_a_row_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        intake.decode(data)
