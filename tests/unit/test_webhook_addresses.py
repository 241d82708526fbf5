"""Which addresses a webhook may go to."""

import threading

import pytest

from gateway.errors import DeliveryError
from gateway.transports.webhook.addresses import Address, addresses_of, is_public

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
    "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:0:7f00:1::", "192.0.2.1",
    "2001:db8::1",
    # compatible, mapped, translated (SIIT) and local NAT64 forms
    "::127.0.0.1", "::8.8.8.8", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8", "64:ff9b:1::a00:1",
    "64:ff9b::c0a8:101", "64:ff9b::e000:1", "2002:a00:1::1", "2002:c0a8:1::", "2002:6440:1::", "2002:a9fe:a9fe::",
    # site-local, discard, segment routing, documentation, benchmarking, ORCHID, what is given to nobody
    "fec0::1", "feff::1", "100::1", "5f00::1", "3fff::1", "3fff:fff:ffff::", "2001:2::1", "2001:10::1", "2001:20::1",
    "4000::1", "8000::1", "e000::1", "fdff::1", "1::1",
    # the ends of what is special in IPv4
    "0.255.255.255", "10.255.255.255", "100.127.255.255", "127.255.255.254", "172.31.255.255", "192.0.0.170",
    "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7", "239.255.255.255", "240.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_of_the_internet_is_told_apart_in_whatever_clothes(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "240e::1", "2408::1",
        "1.0.0.1", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.1.1.1", "128.0.0.1", "169.253.1.1", "172.15.1.1",
        "172.32.0.1", "192.0.1.1", "192.167.1.1", "192.169.1.1", "198.17.1.1", "198.20.0.1", "223.255.255.254",
        "2001:200::1", "2001:4860:4860::8888", "2003::1", "3ffe::1",
    ],
)  # fmt: skip
def test_what_is_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


def found(*addresses: str) -> list[Address]:
    return [(2, (address, 443)) for address in addresses]  # type: ignore[misc]


def test_of_several_addresses_only_those_that_may_be_are_left() -> None:
    left = addresses_of(
        "erp", 443, allow_private=False, timeout_s=5, look_up=lambda *_: found("10.0.0.1", "8.8.8.8")
    )
    assert left == found("8.8.8.8")


def test_a_name_with_no_address_that_may_be_is_refused_with_what_it_was() -> None:
    with pytest.raises(DeliveryError, match=r"10\.0\.0\.1") as caught:
        addresses_of("erp", 443, allow_private=False, timeout_s=5, look_up=lambda *_: found("10.0.0.1"))
    assert caught.value.temporary


def test_a_resolver_that_does_not_answer_costs_no_more_than_the_time_there_is() -> None:
    answered = threading.Event()

    def silent(_host: str, _port: int) -> list[Address]:
        answered.wait(60)
        return []

    with pytest.raises(DeliveryError, match="name server does not answer"):
        addresses_of("erp", 443, allow_private=True, timeout_s=0.05, look_up=silent)
    answered.set()


def test_a_name_that_is_unknown_is_a_failure_for_now() -> None:
    def unknown(_host: str, _port: int) -> list[Address]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(DeliveryError, match="cannot be looked up"):
        addresses_of("erp", 443, allow_private=True, timeout_s=5, look_up=unknown)
