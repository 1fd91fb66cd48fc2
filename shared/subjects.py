"""Names of streams and subjects: the only place where they are spelt."""

EVENTS = "EVENTS"
TRIGGERS = "TRIGGERS"
SENDS = "SENDS"
DEAD = "DEAD"

ALL_TRIGGERS = "triggers.>"
ALL_OUTCOMES = "events.*.outcome"
SENDS_EMAIL = "sends.email"

RULES_EVALUATE = "rules.evaluate"
RULES_VERIFY = "rules.verify"
RULES_PUT = "rules.put"
RULES_LIST = "rules.list"
RULES_GET = "rules.get"
POLICY_PUT = "policy.put"
POLICY_GET = "policy.get"
SUPPRESSIONS_PUT = "suppressions.put"


def event_subject(partition: int, *, outcome: bool = False) -> str:
    """What a site reports and what Beckon did are told apart, so that outcomes can be followed alone."""
    return f"events.{partition}.{'outcome' if outcome else 'site'}"


def partition_events(partition: int) -> str:
    """Every event of a partition, of both kinds, in one order."""
    return f"events.{partition}.*"


def trigger_subject(partition: int) -> str:
    return f"triggers.{partition}"


def people_get(partition: int) -> str:
    return f"people.get.{partition}"


def dead_subject(service: str) -> str:
    return f"dead.{service}"
