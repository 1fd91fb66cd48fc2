"""Names of streams and subjects: the only place where they are spelt."""

EVENTS = "EVENTS"
TRIGGERS = "TRIGGERS"
SENDS = "SENDS"
DEAD = "DEAD"

ALL_TRIGGERS = "triggers.>"
ALL_OUTCOMES = "events.*.outcome"
ALL_SITE_EVENTS = "events.*.site"
SENDS_EMAIL = "sends.email"
SENDS_WEBHOOK = "sends.webhook"

INTEREST = "INTEREST"
"""The key-value bucket in which the rules say what they need to know; its stream and its one key follow."""
INTEREST_STREAM = f"KV_{INTEREST}"
INTEREST_LIVE = f"$KV.{INTEREST}.live"

RULES_EVALUATE = "rules.evaluate"
RULES_VERIFY = "rules.verify"
RULES_PUT = "rules.put"
RULES_LIST = "rules.list"
RULES_GET = "rules.get"
RULES_DELETE = "rules.delete"
RULES_SCHEMA = "rules.schema"
RULES_EXPLAIN = "rules.explain"
RULES_BACKTEST = "rules.backtest"
POLICY_PUT = "policy.put"
POLICY_GET = "policy.get"
POLICY_FORECAST = "policy.forecast"
CONSENTS_GET = "consents.get"
CONSENTS_CHECK = "consents.check"
COUPONS_PUT = "coupons.put"
COUPONS_ADD = "coupons.add"
COUPONS_LIST = "coupons.list"
COUPONS_CODES = "coupons.codes"
COUPONS_CHECK = "coupons.check"
SUPPRESSIONS_PUT = "suppressions.put"
DELIVERIES_REPORT = "deliveries.report"
ADDRESSES_SUPPRESS = "addresses.suppress"
SWEEP_PROGRESS = "sweep.progress"
RESULTS_GET = "results.get"
WEBHOOKS_LIST = "webhooks.list"
WEBHOOKS_GET = "webhooks.get"
WEBHOOKS_REPLAY = "webhooks.replay"
WEBHOOKS_ENABLE = "webhooks.enable"
HISTORY_READ = "history.read"
HISTORY_LINKS = "history.links"
CATALOGUE_PUT = "catalogue.put"
CATALOGUE_LIST = "catalogue.list"
CATALOGUE_GET = "catalogue.get"


def event_subject(partition: int, *, outcome: bool = False) -> str:
    """What a site reports and what Beckon did are told apart, so that outcomes can be followed alone."""
    return f"events.{partition}.{'outcome' if outcome else 'site'}"


def actor_subject(partition: int) -> str:
    """What one person's actor says to another's."""
    return f"events.{partition}.actor"


def partition_events(partition: int) -> str:
    """Every event of a partition, of both kinds, in one order."""
    return f"events.{partition}.*"


def trigger_subject(partition: int) -> str:
    return f"triggers.{partition}"


def people_get(partition: int) -> str:
    return f"people.get.{partition}"


def dead_subject(service: str) -> str:
    return f"dead.{service}"
