"""Which addresses a webhook may go to."""

import threading

import pytest

from gateway.errors import DeliveryError
from gateway.transports.addresses import Address, addresses_of, is_public

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
    "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:0:7f00:1::", "192.0.2.1",
    "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_of_the_internet_is_told_apart_in_whatever_clothes(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
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
