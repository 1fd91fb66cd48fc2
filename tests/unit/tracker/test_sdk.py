import base64
import gzip
import hashlib
import re

from services.tracker import sdk
from tests.support.sdk import FOLDER, minified


def test_what_is_served_is_made_of_the_source() -> None:
    assert (FOLDER / "sdk.min.js").read_text() == minified(), "run `make sdk`"


def test_it_is_small() -> None:
    assert len(sdk.load().compressed) < 3000


def test_it_can_be_checked() -> None:
    found = sdk.load()
    assert gzip.decompress(found.compressed) == found.script
    assert found.integrity == "sha384-" + base64.b64encode(hashlib.sha384(found.script).digest()).decode()


def test_the_types_name_every_call() -> None:
    source = (FOLDER / "beckon.js").read_text()
    calls = source[source.index("var calls = {") : source.index("window.beckon = function")]
    named = set(re.findall(r"^    (\w+):", calls, re.MULTILINE))
    assert "track" in named
    assert set(re.findall(r'\(call: "(\w+)"', (FOLDER / "beckon.d.ts").read_text())) == named
