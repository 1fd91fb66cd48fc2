"""Messages of Amazon's notification service (SNS), by which SES tells of bounces: whose they are, and what is signed. Pure.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html

Addresses in a message lead nowhere: the certificate's must be the very one that the topic's region has, and the one that
confirms a subscription is made here of the topic and the token.
"""

import base64
import binascii
import re
from collections.abc import Collection, Sequence
from urllib.parse import urlencode

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from msgspec import Struct

from services.tracker.events import Malformed, decode_body
from services.tracker.keys import Unauthorised

_ARN = re.compile(r"arn:aws(-cn|-us-gov)?:sns:([a-z]{2,4}(?:-[a-z]{2,12}){1,2}-\d{1,2}):\d{12}:[\w-]{1,256}", re.ASCII)
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{32}\.pem")
_HASHES: dict[str, type[hashes.SHA1 | hashes.SHA256]] = {"1": hashes.SHA1, "2": hashes.SHA256}
"""By ``SignatureVersion``."""


class Message(Struct, frozen=True, rename="pascal"):
    """As it comes. ``message``: of a notification, the text that was published."""

    type: str
    message_id: str
    topic_arn: str
    message: str
    timestamp: str
    signature: str
    signature_version: str
    signing_cert_url: str = msgspec.field(name="SigningCertURL")
    subject: str | None = None
    token: str | None = None
    subscribe_url: str | None = msgspec.field(name="SubscribeURL", default=None)


_decode = msgspec.json.Decoder(Message).decode


def check_topics(arns: Sequence[str]) -> None:
    """Raises ``ValueError``."""
    for arn in arns:
        if not _ARN.fullmatch(arn):
            raise ValueError(f"{arn!r} is not like arn:aws:sns:eu-central-1:123456789012:bounces")


def read(body: bytes, topics: Collection[str]) -> Message:
    """Not verified yet, but of one of our topics. Raises ``Malformed`` or ``Unauthorised``."""
    message = decode_body(_decode, body)
    if message.topic_arn not in topics:
        raise Unauthorised("the topic is none of SES_TOPIC_ARNS")
    if message.signature_version not in _HASHES:
        raise Unauthorised("the SignatureVersion is neither 1 nor 2")
    before, _, path = message.signing_cert_url.partition(_host(message.topic_arn))
    if before != "https://" or not _CERTIFICATE.fullmatch(path):
        raise Unauthorised("the SigningCertURL is not of SNS in the topic's region")
    return message


def certificate_key(pem: bytes) -> rsa.RSAPublicKey:
    """Raises ``ValueError``."""
    key = x509.load_pem_x509_certificate(pem).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("the certificate's key is not RSA")
    return key


def check(message: Message, key: rsa.RSAPublicKey) -> None:
    """Raises ``Unauthorised``."""
    try:
        signature = base64.b64decode(message.signature, validate=True)
        key.verify(signature, signed(message), padding.PKCS1v15(), _HASHES[message.signature_version]())
    except (InvalidSignature, binascii.Error, ValueError):
        raise Unauthorised("the Signature is not this message's") from None


def signed(message: Message) -> bytes:
    """Names and values, line by line, in the order of the names."""
    named = {
        "Message": message.message,
        "MessageId": message.message_id,
        "Subject": message.subject if message.type == "Notification" else None,
        "SubscribeURL": message.subscribe_url if message.type != "Notification" else None,
        "Timestamp": message.timestamp,
        "Token": message.token if message.type != "Notification" else None,
        "TopicArn": message.topic_arn,
        "Type": message.type,
    }
    return "".join(f"{name}\n{value}\n" for name, value in named.items() if value is not None).encode()


def confirmation(message: Message) -> str:
    """The address that confirms the subscription it asks about. Raises ``Malformed``."""
    if not message.token:
        raise Malformed("the Token is missing")
    query = {"Action": "ConfirmSubscription", "TopicArn": message.topic_arn, "Token": message.token}
    return f"https://{_host(message.topic_arn)}/?{urlencode(query)}"


def _host(arn: str) -> str:
    """Of SNS in the region of a topic of ours."""
    match = _ARN.fullmatch(arn)
    assert match is not None, "topics are checked at the start"
    return f"sns.{match[2]}.amazonaws.com{'.cn' if match[1] == '-cn' else ''}"
