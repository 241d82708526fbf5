"""Metrics of signing keys for Prometheus."""

from collections.abc import Sequence
from datetime import UTC, datetime

from prometheus_client.core import GaugeMetricFamily

from gateway.keys.backlog import KeyBacklog
from gateway.keys.public_keyring import PublicKeyring


def key_families(keyring: PublicKeyring, queues: Sequence[KeyBacklog]) -> list[GaugeMetricFamily]:
    """Return metrics of the time left of certificates, and of the queues of keys that are devices."""
    left = GaugeMetricFamily(
        "gateway_certificate_seconds_left",
        "Until the signing certificate ends; of a rotation its last one",
        labels=["key"],
    )
    now = datetime.now(UTC)
    for name, member in keyring.ends():
        left.add_metric([name], (member.not_after - now).total_seconds())
    order = GaugeMetricFamily(
        "gateway_key_in_order", "1 when the key, or one of its members, can sign now, else 0", labels=["key"]
    )
    entries = GaugeMetricFamily("gateway_key_entries", "Entries that wait for the key", labels=["key"])
    wait = GaugeMetricFamily(
        "gateway_key_wait_seconds",
        "Until all that wait for the key are signed; +Inf while an operator has to act",
        labels=["key"],
    )
    for queue in queues:
        order.add_metric([queue.key], int(queue.in_order))
        entries.add_metric([queue.key], queue.entries)
        wait.add_metric([queue.key], queue.wait_s)
    return [left, order, entries, wait]
