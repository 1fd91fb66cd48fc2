"""What is asked of other services just before something is sent. Each raises ``Unavailable`` while nobody answers."""

from shared import subjects
from shared.bus import Bus
from shared.clock import Instant
from shared.consents import CheckConsent, ConsentChecked
from shared.messages import GetPerson, Person, PersonFound, Trigger, Verified, Verify
from shared.partition import partition_of


async def who_is(bus: Bus, key: str) -> PersonFound:
    """After every event that the stream holds by now."""
    return await bus.request(subjects.people_get(partition_of(key, bus.partitions)), GetPerson(key), PersonFound)


async def no_longer_true(bus: Bus, trigger: Trigger, person: Person, now: Instant) -> str:
    """Why the trigger's rule does not hold for the person any more; empty if it does."""
    verified = await bus.request(subjects.RULES_VERIFY, Verify(trigger.rule, trigger.version, person, now), Verified)
    if verified.holds:
        return ""
    return f"no longer true: {verified.reason}" if verified.reason else "no longer true"


async def not_wanted(bus: Bus, trigger: Trigger) -> str:
    """What somebody chose, or complained of, after the throttle let this through; empty if nothing is against it."""
    request = CheckConsent(trigger.person, trigger.terms.category, trigger.aliases)
    return (await bus.request(subjects.CONSENTS_CHECK, request, ConsentChecked)).refusal
