"""The configuration page names every variable, with its default, and no other."""

import importlib
import re
from typing import Any

import msgspec
import pytest

from shared.settings import Common
from tests.support.stack import ROOT

PAGE = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
SECTIONS = {
    "Every service": "shared.settings",
    "Tracker": "services.tracker.settings",
    "State": "services.state.settings",
    "Rule-evaluator": "services.rule_evaluator.settings",
    "Throttle": "services.throttle.settings",
    "Mailer": "services.mailer.settings",
    "Webhook": "services.webhook.settings",
    "Setup (the job)": "services.setup.settings",
    "The sample shop": "services.shop.settings",
}


def shown(default: Any) -> str:
    if default is msgspec.NODEFAULT:
        return "required"
    if default in ("", ()):
        return "empty"
    if isinstance(default, tuple):
        default = ",".join(default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_variable_stands_there_with_its_default(section: str) -> None:
    module = importlib.import_module(SECTIONS[section])
    settings = Common if section == "Every service" else module.Settings
    fields = {field.name.upper(): shown(field.default) for field in msgspec.structs.fields(settings)}
    if section != "Every service" and issubclass(settings, Common):
        for field in msgspec.structs.fields(Common):
            del fields[field.name.upper()]
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| .+ \|$", text, re.MULTILINE))
    assert rows == fields
