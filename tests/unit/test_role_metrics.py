"""What became of attempts is counted as it is logged, entries by destination and notices together."""

from datetime import UTC, datetime

from gateway.errors import DeliveryError
from gateway.observe.metric_files import RoleMetrics
from gateway.observe.role_metrics import ATTEMPT_OUTCOMES, entry_counter, notice_counter
from gateway.sending.attempts import Attempts
from signing.errors import KeyUnavailable
from spool.entry import Claimed, Fate
from spool.retry import RetryPolicy

HERE = "a destination of these tests alone"
OF_EACH = (Fate.DELIVERED, Fate.DEFERRED, Fate.UNDELIVERABLE, Fate.POSTPONED)


def claimed() -> Claimed:
    return Claimed(
        entry=1, claim=1, uid="A", owner="ann", kind="CEB311Message", destination=HERE, cop_msg_id="M-1",
        attempts=0, accepted_at=datetime(2026, 11, 11, tzinfo=UTC), facts=b"", way=b"", body=b"",
    )  # fmt: skip


def counted(name: str, **labels: str) -> list[float]:
    """By outcome, in the order of `ATTEMPT_OUTCOMES`; what this process has counted so far."""
    found = {
        sample.labels["outcome"]: sample.value
        for family in RoleMetrics().collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    }
    return [found[outcome] for outcome in ATTEMPT_OUTCOMES]


def each_outcome(attempts: Attempts) -> tuple[Fate, ...]:
    settled = [
        attempts.sent(claimed(), bytes(32), ""),
        attempts.failed(claimed(), DeliveryError("not now")),
        attempts.failed(claimed(), DeliveryError("never", temporary=False)),
        attempts.postponed(claimed(), KeyUnavailable("dark", retry_after_s=1.0)),
    ]
    return tuple(one.fate for one in settled)


def test_entries_are_counted_by_destination_and_every_outcome_is_there_from_the_start() -> None:
    attempts = Attempts(policy=RetryPolicy(), chance=lambda: 0.0, counter=entry_counter(HERE))
    assert counted("gateway_entries_total", destination=HERE) == [0, 0, 0, 0]
    assert each_outcome(attempts) == OF_EACH
    assert counted("gateway_entries_total", destination=HERE) == [1, 1, 1, 1]


def test_notices_are_counted_together_and_what_a_channel_puts_off_is_postponed() -> None:
    attempts = Attempts(policy=RetryPolicy(), chance=lambda: 0.0, counter=notice_counter(), noun="notice")
    before = counted("gateway_notices_total")
    assert each_outcome(attempts) == OF_EACH
    assert counted("gateway_notices_total") == [number + 1 for number in before]
