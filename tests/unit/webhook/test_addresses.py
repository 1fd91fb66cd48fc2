"""Which addresses may be called."""

from ipaddress import ip_address

import pytest

from services.webhook.addresses import Allowed, insecure, public, read_allowed, refusal
from shared.webaddress import LONGEST, web_address


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.215.14", "172.15.255.255", "172.32.0.1", "100.63.255.255", "2606:4700::1111", "64:ff9b::1.1.1.1", "::ffff:1.1.1.1"],
)  # fmt: skip
def test_the_internet(address: str) -> None:
    assert public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1"),
        *("192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
        *("255.255.255.255", "::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
        *("100::1", "5f00::1", "4000::1", "3fff::1", "2001::1", "2002:7f00:1::", "2002:0808:0808::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::8.8.8.8"),
        *("64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1.1.1.1"),
    ],
)
def test_not_the_internet(address: str) -> None:
    assert not public(ip_address(address))
    assert refusal(ip_address(address), "crm.example.test", Allowed()) == (
        f"crm.example.test is at {ip_address(address)}, which is not on the internet; WEBHOOK_ALLOW does not name it"
    )


def test_what_an_operator_names_may_be_called() -> None:
    allowed = read_allowed(["CRM.internal", "10.1.0.0/16", "::1"])
    inside = ip_address("10.2.0.1")
    assert not refusal(inside, "crm.internal", allowed)
    assert refusal(inside, "not-crm.internal", allowed)
    assert not refusal(ip_address("10.1.2.3"), "anything.example.test", allowed)
    assert not refusal(ip_address("::1"), "::1", allowed)


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "http://crm.internal", "crm internal", "*", "10.0.0.0/33"])
def test_what_is_neither_host_nor_network(entry: str) -> None:
    with pytest.raises(ValueError, match="is neither a host nor a network"):
        read_allowed([entry])


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://crm.example.test/", True),
        ("http://crm.example.test/", False),
        ("http://crm.internal:8080/", True),
        ("http://10.1.2.3/", True),
        ("http://10.2.2.3/", False),
        ("http://[::1]:8080/", True),
        ("http://crm.internal.example.test/", False),
    ],
)
def test_only_what_an_operator_names_is_called_without_https(url: str, taken: bool) -> None:
    allowed = read_allowed(["crm.internal", "10.1.0.0/16", "::1"])
    assert (insecure(web_address(url), allowed) == "") == taken


# --- The URL of a rule ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "https"),
    [
        ("https://crm.example.test", "crm.example.test", True),
        ("https://CRM.Example.test:8443/a/b?c=d%20e&f=@", "crm.example.test", True),
        ("http://10.0.0.1/", "10.0.0.1", False),
        ("https://[2001:DB8::1]:443/", "2001:db8::1", True),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", True),
    ],
)
def test_an_address_of_a_webhook(url: str, host: str, https: bool) -> None:
    assert web_address(url) == (url, host, https)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (None, "is not the address of a webhook"),
        (7, "is not the address of a webhook"),
        ("", "is not the address of a webhook"),
        ("https://crm.example.test/a b", "is not the address of a webhook"),
        ("https://crm.example.test/\r\nx: y", "is not the address of a webhook"),
        ("https://crm.example.test\\@evil.test/", "is not the address of a webhook"),
        ("https://bücher.example/", "is not the address of a webhook"),
        ("https://１２７.0.0.1/", "is not the address of a webhook"),
        ("crm.example.test/hook", "has no https:// before it"),
        ("file:///etc/passwd", "begins with 'file'"),
        ("gopher://crm.example.test", "begins with 'gopher'"),
        ("https://user:pass@crm.example.test/", "names a user or a password"),
        ("https://crm.example.test@evil.test/", "names a user or a password"),
        ("https:///hook", "has no host or port"),
        ("https://%31%32%37.0.0.1/", "has no host or port"),
        ("https://crm.example.test:0/", "has no host or port"),
        ("https://-crm.example.test/", "has no host or port"),
        ("https://[fe80::1%25eth0]/", "has no host or port"),
        ("https://crm.example.test:99999/", "has a host or a port that cannot be read"),
        ("https://[::1/", "has a host or a port that cannot be read"),
        ("https://crm.example.test/#part", "has a part behind #"),
        ("https://crm.example.test/" + "x" * LONGEST, "has 1025 characters, 1000 is the most"),
    ],
)
def test_no_address_of_a_webhook(url: object, told: str) -> None:
    with pytest.raises(ValueError) as refused:
        web_address(url)
    assert str(refused.value).startswith(told)
