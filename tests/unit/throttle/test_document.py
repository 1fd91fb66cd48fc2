"""A policy as people write it, and what they are told when it is wrong."""

import re
from pathlib import Path

import pytest

from services.throttle.document import PolicyError, read
from services.throttle.hours import Hours, Zone
from services.throttle.policies import DEFAULT_DOCUMENT
from services.throttle.policy import DEFAULT, Cap, Policy, Quiet, Spacing, Window
from shared.clock import DAY, HOUR, MINUTE, SECOND

EXAMPLE = Path(__file__).parents[3] / "examples" / "policy.yaml"


def errors_of(document: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        read(document)
    return caught.value.errors


def test_the_example_is_read() -> None:
    policy = read(EXAMPLE.read_text())
    assert policy == Policy((Cap(1, DAY, "rule"), Cap(2, DAY, "all"), Cap(5, 7 * DAY, "category")))


def test_json_is_read_too() -> None:
    policy = read('{"caps": [{"max": 3, "per": "2h30m", "scope": "all"}]}')
    assert policy == Policy((Cap(3, 2 * HOUR + 30 * MINUTE, "all"),))


def test_no_caps_must_be_said() -> None:
    assert read("caps: []") == Policy(())
    assert errors_of("{}") == ["caps: expected a list; write `caps: []` for no caps at all"]


def test_the_default_as_shown_is_the_default() -> None:
    assert read(DEFAULT_DOCUMENT) == DEFAULT


def test_every_flaw_is_told_with_its_path() -> None:
    document = """
    caps:
      - {max: 0, per: 24h, scope: rule}
      - {max: 1, per: 30x, scope: rule}
      - {max: 1, per: 24h, scope: person, extra: 1}
      - 7
    cap: []
    """
    assert errors_of(document) == [
        "cap: unknown; a policy has `caps`, `quiet_hours`, `windows`, `spacing`, `settle`, `timezone` and `default_timezone`",
        "caps[0].max: 0 is not a whole number of at least 1",
        "caps[1].per: '30x' is not a duration, try 30m",
        "caps[2].extra: unknown; a cap has `max`, `per` and `scope`",
        "caps[2].scope: 'person' is not one of rule, all, category",
        "caps[3]: expected a mapping like {max: 1, per: 24h, scope: rule}",
    ]


@pytest.mark.parametrize("per", ["''", "24", "0s", "-1h", "999999d", "1.5h", "h", "[]", "9" * 40 + "d"])
def test_what_is_no_duration(per: str) -> None:
    (error,) = errors_of(f"caps: [{{max: 1, per: {per}, scope: all}}]")
    assert error.startswith("caps[0].per: ")


@pytest.mark.parametrize("most", ["true", "1.5", "'1'", "null"])
def test_what_is_no_number(most: str) -> None:
    (error,) = errors_of(f"caps: [{{max: {most}, per: 24h, scope: all}}]")
    assert error.startswith("caps[0].max: ")


@pytest.mark.parametrize("scope", ["[]", "{}", "null", "1"])
def test_what_is_no_scope(scope: str) -> None:
    (error,) = errors_of(f"caps: [{{max: 1, per: 24h, scope: {scope}}}]")
    assert error.startswith("caps[0].scope: ")


@pytest.mark.parametrize(
    "document", ["", "7", "[]", "caps: [", "{" * 5000, "x" * 100_000, "!!python/object:os.system {}"]
)
def test_what_is_no_policy_at_all(document: str) -> None:
    (error,) = errors_of(document)
    assert error.startswith("policy: ")


def test_everything_that_can_be_said() -> None:
    policy = read(
        """
        caps: []
        quiet_hours: {from: "21:00", to: "08:00", timezone: profile.home.zone, default_timezone: Europe/Berlin, then: drop,
                      except: [transactional]}
        windows:
          - {days: [mon-fri], from: "09:00", to: "18:00", categories: [nudge, news]}
          - {days: [sat, sun-mon], from: "00:00", to: "24:00"}
        spacing: {least: 4h, scope: category, then: drop}
        settle: 2s
        """
    )
    assert policy == Policy(
        (),
        Quiet(Hours(1260, 480), ("transactional",), "drop"),
        (
            Window(Hours(540, 1080, frozenset(range(5))), ("nudge", "news")),
            Window(Hours(0, 1440, frozenset({5, 6, 0}))),
        ),
        Zone("home.zone", "Europe/Berlin"),
        Spacing(4 * HOUR, "category", "drop"),
        2 * SECOND,
    )


def test_what_is_not_said() -> None:
    policy = read("{caps: [], quiet_hours: {from: 21:00, to: 08:00}, spacing: 4h}")
    assert policy == Policy((), Quiet(Hours(1260, 480)), spacing=Spacing(4 * HOUR))
    assert policy.zone == Zone("timezone", "UTC")


@pytest.mark.parametrize(
    ("zone", "means"),
    [
        ("timezone: Europe/Berlin", Zone(None, "Europe/Berlin")),
        ("timezone: profile.tz, default_timezone: Asia/Tokyo", Zone("tz", "Asia/Tokyo")),
        ("default_timezone: Asia/Tokyo", Zone("timezone", "Asia/Tokyo")),
    ],
)
def test_the_time_zone_stands_with_the_quiet_hours_or_above(zone: str, means: Zone) -> None:
    assert read(f'{{caps: [], quiet_hours: {{from: "21:00", to: "08:00", {zone}}}}}').zone == means
    assert read(f'{{caps: [], windows: [{{from: "09:00", to: "18:00"}}], {zone}}}').zone == means


QUIET = 'from: "21:00", to: "08:00"'


@pytest.mark.parametrize(
    ("flawed", "errors"),
    [
        ("quiet_hours: 21", ['quiet_hours: expected a mapping like {from: "21:00", to: "08:00"}']),
        (
            'quiet_hours: {from: "9:00", to: 1260, until: 3}',
            [
                "quiet_hours.until: unknown; quiet hours have `from`, `to`, `timezone`, `default_timezone`, `then` and `except`",
                "quiet_hours.from: '9:00' is not a time of the day, try \"21:00\"",
                'quiet_hours.to: 1260 is not a time of the day, try "08:00"',
            ],
        ),
        (
            'quiet_hours: {from: "08:00", to: "08:00"}',
            ['quiet_hours.to: \'08:00\' is when it begins; a whole day is from "00:00" to "24:00"'],
        ),
        (
            'quiet_hours: {from: "24:00", to: "08:00"}',
            ['quiet_hours.from: "24:00" is where a day ends, it begins at "00:00"'],
        ),
        (
            'quiet_hours: {from: "00:00", to: "24:00"}',
            ["quiet_hours: leaves no time at all at which mails of most categories could be sent"],
        ),
        (
            f"quiet_hours: {{{QUIET}, then: wait, except: nudge}}",
            [
                "quiet_hours.except: expected a list of categories, for example [transactional]",
                "quiet_hours.then: 'wait' is not one of defer, drop",
            ],
        ),
        (
            f"quiet_hours: {{{QUIET}, timezone: Europe/Berln, default_timezone: profile.tz}}",
            [
                "quiet_hours.timezone: 'Europe/Berln' is neither an attribute like profile.timezone nor a time zone such as"
                " Europe/Berlin",
                "quiet_hours.default_timezone: 'profile.tz' is not a time zone such as Europe/Berlin",
            ],
        ),
        (
            f"timezone: UTC, quiet_hours: {{{QUIET}, timezone: UTC}}",
            ["quiet_hours.timezone: is also said at the top; say it once"],
        ),
        (
            "timezone: UTC, default_timezone: UTC",
            ["default_timezone: is of no use where `timezone` names the same one for everybody"],
        ),
        (
            "windows: {days: [mon]}",
            ['windows: expected a list, for example `windows: [{days: [mon-fri], from: "09:00", to: "18:00"}]`'],
        ),
        (
            'windows: [{days: [mon, montag], from: "09:00", to: "18:00", categories: ["a b"]}, 7]',
            [
                "windows[0].days[1]: 'montag' is neither a day (mon, tue, wed, thu, fri, sat, sun) nor several such as mon-fri",
                "windows[0].categories[0]: 'a b' is not 1 to 64 letters, digits, _ or -",
                'windows[1]: expected a mapping like {days: [mon-fri], from: "09:00", to: "18:00"}',
            ],
        ),
        (
            f'quiet_hours: {{{QUIET}}}, windows: [{{from: "22:00", to: "23:00", categories: [nudge]}}]',
            ["windows[0]: leaves no time at all at which mails of category nudge could be sent"],
        ),
        ("spacing: 4x", ["spacing: '4x' is not a duration, try 4m"]),
        (
            "spacing: {scope: rule}",
            ["spacing.scope: 'rule' is not one of all, category", "spacing.least: None is not a duration, try 30m"],
        ),
        ("settle: 1h", ["settle: '1h' is not a duration of 0s to 10m, try 2s"]),
    ],
)
def test_what_is_wrong_about_times(flawed: str, errors: list[str]) -> None:
    assert errors_of(f"{{caps: [], {flawed}}}") == errors


def test_what_the_example_only_shows_can_be_had() -> None:
    text = EXAMPLE.read_text()
    shown = [line[2:] for line in text.splitlines() if re.match(r"# (quiet_hours|windows|  - |spacing|settle)", line)]
    policy = read("\n".join([text, *shown]))
    assert policy.quiet is not None
    assert policy.spacing is not None
    assert (len(policy.windows), policy.settle) == (1, 2 * SECOND)
