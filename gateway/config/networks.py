"""Networks of IP addresses as in configuration files: `10.1.0.0/16`, `2001:db8::/32`, `203.0.113.7`."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from gateway.errors import ConfigError

Network = IPv4Network | IPv6Network


def networks(texts: Iterable[str], where: str) -> tuple[Network, ...]:
    """Parse networks; `where` names file and key. Raises ConfigError."""
    return tuple(_network(text, where) for text in texts)


def _network(text: str, where: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ConfigError(
            f"not a network of IP addresses: {error}",
            where=where,
            fix='for example "10.1.0.0/16" or "203.0.113.7"',
        ) from error


def is_loopback(host: str) -> bool:
    """Whether a listening host is a loopback address; the only such name is localhost."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def within(address: str, among: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks; False if the text is not an address."""
    try:
        known = ip_address(address)
    except ValueError:
        return False
    if isinstance(known, IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped  # a dual-stack socket reports IPv4 peers in this form
    return any(known in network for network in among)
