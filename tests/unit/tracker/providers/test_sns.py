"""Messages of Amazon's notification service: only its own, of our topics, and no address in them leads anywhere."""

import json

import pytest
from structlog.testing import capture_logs

from services.tracker.amazon import Amazon, FetchFailed
from services.tracker.events import Malformed
from services.tracker.keys import Unauthorised
from services.tracker.providers import sns
from shared.errors import BusUnavailable
from tests.support.hooks import CERTIFICATE_URL, TOPIC, Sns

AMAZON = Sns()


class Fetched:
    """Amazon's servers, as far as they are asked."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("version", ["1", "2"])
async def test_both_versions_are_verified_and_the_certificate_is_fetched_once(version: str) -> None:
    fetch = Fetched(AMAZON.pem)
    amazon = Amazon([TOPIC], fetch)
    for fields in ({}, {"Subject": "Amazon SES Email Event Notification"}, {"Message": '{"a": "ü\\n"}'}):
        message = await amazon.read(AMAZON.body("Notification", version, **fields))
        assert message.message == fields.get("Message", "{}")
    assert fetch.asked == [CERTIFICATE_URL]


@pytest.mark.parametrize(
    "changes",
    [
        {"Message": "another"},
        {"Timestamp": "2026-03-04T09:12:46.000Z"},
        {"Subject": "put in"},
        {"SignatureVersion": "1"},
        {"Signature": "AAAA"},
        {"Signature": "not base64!"},
        {"Type": "SubscriptionConfirmation"},
    ],
)
async def test_what_was_changed_is_refused(changes: dict[str, str]) -> None:
    body = json.dumps({**AMAZON.message(), **changes}).encode()
    with pytest.raises(Unauthorised, match="the Signature is not this message's"):
        await Amazon([TOPIC], Fetched(AMAZON.pem)).read(body)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"TopicArn": TOPIC.replace("123", "321")}, "none of SES_TOPIC_ARNS"),
        ({"SignatureVersion": "3"}, "neither 1 nor 2"),
        *(
            ({"SigningCertURL": url}, "not of SNS in the topic's region")
            for url in (
                CERTIFICATE_URL.replace("https", "http"),
                CERTIFICATE_URL.replace("eu-central-1", "us-east-1"),
                CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com.evil.example"),
                CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com:8443"),
                CERTIFICATE_URL.replace("https://", "https://evil.example/"),
                CERTIFICATE_URL.replace("https://", "https://a@"),
                CERTIFICATE_URL.replace(".com/", ".com@evil.example/"),
                CERTIFICATE_URL.replace(".com/", ".com/../"),
                CERTIFICATE_URL + "?x=.pem",
                CERTIFICATE_URL + "\n",
                "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
                "http://169.254.169.254/latest/meta-data/",
                "file:///etc/passwd",
                "",
            )
        ),
    ],
)
async def test_nothing_is_fetched_for_what_cannot_be_ours(changes: dict[str, str], reason: str) -> None:
    fetch = Fetched()
    with pytest.raises(Unauthorised, match=reason):
        await Amazon([TOPIC], fetch).read(AMAZON.body(**changes))
    assert fetch.asked == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"Type": 1}', b"\xff", b'{"a":' * 5000])
async def test_what_is_no_message_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        await Amazon([TOPIC], Fetched()).read(body)


async def test_a_subscription_is_confirmed_at_amazon_wherever_it_says_to() -> None:
    evil = {"Token": "a&b=c", "SubscribeURL": "https://evil.example/?Action=ConfirmSubscription"}
    fetch = Fetched(AMAZON.pem, b"<ConfirmSubscriptionResponse/>")
    amazon = Amazon([TOPIC], fetch)
    message = await amazon.read(AMAZON.body("SubscriptionConfirmation", **evil))
    with capture_logs() as logs:
        await amazon.confirm(message)
    assert logs[0]["event"] == "sns_subscription_confirmed"
    assert fetch.asked[1] == (
        "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription"
        "&TopicArn=arn%3Aaws%3Asns%3Aeu-central-1%3A123456789012%3Abounces&Token=a%26b%3Dc"
    )


async def test_while_amazon_is_away_it_is_to_be_sent_again() -> None:
    fetch = Fetched(FetchFailed("timed out"), AMAZON.pem)
    amazon = Amazon([TOPIC], fetch)
    with pytest.raises(BusUnavailable, match="Amazon's server cannot be asked: timed out"):
        await amazon.read(AMAZON.body())
    assert (await amazon.read(AMAZON.body())).type == "Notification"


async def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(Unauthorised, match="no certificate"):
        await Amazon([TOPIC], Fetched(b"<html>")).read(AMAZON.body())


def test_topics() -> None:
    sns.check_topics(
        [TOPIC, "arn:aws-cn:sns:cn-north-1:123456789012:b", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:b"]
    )
    for bad in (
        "bounces",
        TOPIC + "/x",
        TOPIC.replace("eu-central-1", "evil.example"),
        TOPIC.replace(":sns:", ":sqs:"),
    ):
        with pytest.raises(ValueError, match="is not like arn:aws:sns:"):
            sns.check_topics([bad])
