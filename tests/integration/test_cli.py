"""The ``beckon`` command against real servers and services, as a person runs it."""

from pathlib import Path

import pytest

from tests.support.command import Ran, beckon
from tests.support.stack import ROOT, Stack

RULES = ROOT / "examples/rules"


async def test_rules_are_applied_listed_and_shown(stack: Stack, tmp_path: Path) -> None:
    await stack.start("rule_evaluator")
    operator = stack.nats.url("operator")
    assert (await beckon(operator, "rules", "list")).out == "no rules yet\n"

    applied = await beckon(operator, "rules", "apply", str(RULES))
    assert (applied.code, applied.err) == (0, "")
    shipped = sorted(file.stem for file in RULES.glob("*.yaml"))
    assert applied.out.splitlines() == [f"{name}: version 1" for name in shipped]
    again = await beckon(operator, "rules", "apply", str(RULES / "win-back.yaml"), "--json")
    assert [(answer["id"], answer["version"], answer["changed"]) for answer in again.json()] == [("win-back", 1, False)]

    table = (await beckon(operator, "rules", "list")).out.splitlines()
    assert table[0].split() == ["rule", "status", "version", "live", "since", "changed", "name"]
    assert table[1].split()[:3] == ["back-after-silence", "draft", "1"]
    listed = (await beckon(operator, "rules", "list", "--json")).json()
    assert [rule["id"] for rule in listed] == shipped
    assert listed[shipped.index("cart-abandonment")]["live_since"].endswith("Z")

    text = (RULES / "win-back.yaml").read_text(encoding="utf-8")
    assert (await beckon(operator, "rules", "show", "win-back")).out == text
    assert (await beckon(operator, "rules", "show", "win-back", "--json")).json()["document"] == text
    assert await beckon(operator, "rules", "show", "nope") == Ran(1, "", "beckon: there is no rule nope\n")

    flawed = tmp_path / "flawed.yaml"
    flawed.write_text(text.replace("14d", "14x"))
    refused = await beckon(operator, "rules", "apply", str(flawed))
    assert refused == Ran(
        1, f"{flawed}: when.elapsed: '14x' is not a duration, try 14m\n", "beckon: 1 of 1 rules refused\n"
    )
    assert (await beckon(operator, "rules", "apply", str(flawed), "--json")).json()[0]["errors"]


async def test_the_policy_and_suppressions(stack: Stack, tmp_path: Path) -> None:
    await stack.start("throttle")
    operator = stack.nats.url("operator")
    policy = tmp_path / "policy.yaml"
    policy.write_text("caps:\n  - {max: 3, per: 24h, scope: all}\n")
    assert await beckon(operator, "policy", "apply", str(policy)) == Ran(0, "policy: version 1\n", "")
    assert (await beckon(operator, "policy", "show")).out == policy.read_text()
    assert (await beckon(operator, "policy", "show", "--json")).json()["version"] == 1

    first = policy.read_text()
    policy.write_text("caps: []\n")
    assert (await beckon(operator, "policy", "apply", str(policy))).out == "policy: version 2\n"
    assert (await beckon(operator, "policy", "show", "1")).out == first
    assert (await beckon(operator, "policy", "rollback", "1")).out == "policy: version 3 is version 1 again\n"
    assert (await beckon(operator, "policy", "rollback", "3")).out == "it is in force\n"
    assert (await beckon(operator, "policy", "show")).out == first
    table = (await beckon(operator, "policy", "list")).out.splitlines()
    assert [line.split()[0] for line in table] == ["version", "1", "2", "3"]
    listed = (await beckon(operator, "policy", "list", "--json")).json()
    assert [(one["version"], one["by"]) for one in listed] == [(1, "a-test"), (2, "a-test"), (3, "a-test")]
    for command in ("show", "rollback"):
        assert await beckon(operator, "policy", command, "7") == Ran(
            1, "", "beckon: there is no version 7 of the policy\n"
        )

    policy.write_text("caps: {}\n")
    refused = await beckon(operator, "policy", "apply", str(policy))
    assert (refused.code, refused.err) == (1, "beckon: the policy was refused\n")
    assert refused.out.startswith(f"{policy}: caps: ")

    assert await beckon(operator, "suppress", "ada") == Ran(2, "", "beckon: suppress: --reason is missing\n")
    assert (
        await beckon(operator, "suppress", "ada", "--reason", "asked by phone")
    ).out == "ada: gets no mail any more\n"
    assert (await beckon(operator, "suppress", "ada", "--remove", "--json")).json() == {
        "person": "ada",
        "suppressed": False,
    }


async def test_dead_letters_are_listed(stack: Stack) -> None:
    operator = stack.nats.url("operator")
    assert (await beckon(operator, "dead", "list")).out == "no dead letters\n"
    js = (await stack.bus("setup")).nc.jetstream()
    for number in range(3):
        headers = {"Beckon-Subject": "events.3.site", "Beckon-Reason": f"number {number} is no [event]"}
        await js.publish("dead.state", b"nonsense", headers=headers)
    await js.delete_msg("DEAD", 2)

    table = (await beckon(operator, "dead", "list")).out.splitlines()
    assert [line.split()[0] for line in table] == ["number", "1", "3"]
    assert table[2].endswith("number 2 is no [event]")
    (letter,) = (await beckon(operator, "dead", "list", "--limit", "1", "--json")).json()
    assert {key: letter[key] for key in ("number", "service", "subject", "reason", "bytes")} == {
        "number": 3,
        "service": "state",
        "subject": "events.3.site",
        "reason": "number 2 is no [event]",
        "bytes": 8,
    }


async def test_a_server_that_is_not_there_is_one_line(stack: Stack) -> None:
    assert await beckon("nats://operator:x@127.0.0.1:1", "rules", "list") == Ran(
        1, "", "beckon: NATS at 127.0.0.1:1 cannot be reached, or refuses the user and password of NATS_URL\n"
    )
    assert await beckon(stack.nats.url("operator"), "rules", "list") == Ran(
        1, "", "beckon: the rule-evaluator does not answer: it is not running\n"
    )
    wrong = stack.nats.url("operator").replace("operator:", "operator:not-")
    refused = await beckon(wrong, "rules", "list")
    assert refused.code == 1
    assert "refuses the user and password of NATS_URL" in refused.err


@pytest.mark.parametrize(
    ("nats_url", "arguments", "line"),
    [
        (None, ("rules", "list"), "beckon: NATS_URL is not set, expected nats://operator:password@host:port\n"),
        ("nowhere", ("rules", "list"), "beckon: NATS_URL: expected nats://user:password@host:port\n"),
        (None, ("rules", "apply", "/no/where"), "beckon: /no/where: No such file or directory\n"),
        (None, ("rules", "apply", str(ROOT / "shared")), f"beckon: {ROOT}/shared: holds no .yaml, .yml, .json\n"),
    ],
)
async def test_wrong_usage_is_one_line_and_exit_code_2(
    nats_url: str | None, arguments: tuple[str, ...], line: str
) -> None:
    assert await beckon(nats_url, *arguments) == Ran(2, "", line)
