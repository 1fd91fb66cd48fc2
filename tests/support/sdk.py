"""``make sdk``: the browser SDK as it is served, made of its source."""

import minify

from tests.support.stack import ROOT

FOLDER = ROOT / "services/tracker/sdk"


def minified() -> str:
    return str(minify.string("application/javascript", (FOLDER / "beckon.js").read_text()))


if __name__ == "__main__":
    (FOLDER / "sdk.min.js").write_text(minified())
