"""Counters of all roles, for `/metrics`: sent entries, delivered notices, collected answers, messages at polled doors, advice.

`gateway.observe.metric_files` decides where they are kept: in memory, or in files that all processes of a node share.
Labels are our own names, never anything from a message, and each label has a bounded number of values.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY: Final = CollectorRegistry()
"""The metrics of this module; without shared files it has the values of this process alone."""

ATTEMPT_OUTCOMES: Final = ("sent", "deferred", "dead", "postponed")
FILING_OUTCOMES: Final = ("matched", "duplicate", "orphaned", "delivered")
ACCEPTED: Final = "accepted"
DUPLICATE: Final = "duplicate"

_entries: Final = Counter(
    "gateway_entries",
    "Outcomes of claimed entries, by destination",
    ["destination", "outcome"],
    registry=REGISTRY,
)
_notices: Final = Counter(
    "gateway_notices",
    "Outcomes of claimed notices, which bring answers home",
    ["outcome"],
    registry=REGISTRY,
)
_arrivals: Final = Counter(
    "gateway_arrivals",
    "Files and messages received from a destination and stored",
    ["destination"],
    registry=REGISTRY,
)
_answers: Final = Counter(
    "gateway_answers",
    "Bodies of answers matched, known before or orphaned, and messages delivered to enterprises of this node",
    ["outcome"],
    registry=REGISTRY,
)
_parcel_mismatches: Final = Counter(
    "gateway_parcel_mismatches",
    "Documents that do not agree with another of their parcel, by rule, each version once",
    ["rule"],
    registry=REGISTRY,
)
_door_messages: Final = Counter(
    "gateway_door_messages",
    "Messages judged at doors beside HTTP, by enterprise, door and outcome",
    ["enterprise", "door", "outcome"],
    registry=REGISTRY,
)
_door_in_order: Final = Gauge(
    "gateway_door_in_order",
    "1 when the door works, 0 when it fails or is closed at a watermark",
    ["enterprise", "door"],
    registry=REGISTRY,
    multiprocess_mode="livemin",
)

_advice: Final = Counter(
    "gateway_advice",
    "Advice given on accepted messages, by rule and severity",
    ["rule", "severity"],
    registry=REGISTRY,
)
_imports: Final = Counter(
    "gateway_imports", "Imports that have ended, by state", ["state"], registry=REGISTRY
)
_import_declarations: Final = Counter(
    "gateway_import_declarations",
    "Declarations of imports that came into a message, or were refused",
    ["outcome"],
    registry=REGISTRY,
)


class OutcomeCounter:
    """One counter for each outcome. All are exported from the start with 0, so that the first event is an increase."""

    def __init__(self, counter: Counter, outcomes: Iterable[str], *labels: str) -> None:
        """`labels`: values of the labels before `outcome`."""
        self._counters = {outcome: counter.labels(*labels, outcome) for outcome in outcomes}

    def count(self, outcome: str, number: int = 1) -> None:
        """Add `number` to one of the outcomes."""
        self._counters[outcome].inc(number)


def entry_counter(destination: str) -> OutcomeCounter:
    """Return the counter of attempts for one destination, by `ATTEMPT_OUTCOMES`."""
    return OutcomeCounter(_entries, ATTEMPT_OUTCOMES, destination)


def notice_counter() -> OutcomeCounter:
    """Return the counter of attempts for all channels together, by `ATTEMPT_OUTCOMES`."""
    return OutcomeCounter(_notices, ATTEMPT_OUTCOMES)


def answer_counter() -> OutcomeCounter:
    """Return the counter of filed answers, by `FILING_OUTCOMES`."""
    return OutcomeCounter(_answers, FILING_OUTCOMES)


def mismatch_counter(rule: str) -> Counter:
    """Return the counter of mismatches by one rule."""
    return _parcel_mismatches.labels(rule)


def arrival_counter(destination: str) -> Counter:
    """Return the counter of arrivals from one destination."""
    return _arrivals.labels(destination)


def count_door_message(enterprise: str, door: str, outcome: str) -> None:
    """Count a message at a polled door; `outcome`: `ACCEPTED`, `DUPLICATE` or a problem code."""
    _door_messages.labels(enterprise, door, outcome).inc()


def count_advice(rule: str, severity: str, number: int) -> None:
    """Count advice on an accepted message; `rule`: a name of the rulebook, which bounds how many there are."""
    _advice.labels(rule, severity).inc(number)


def set_door_in_order(enterprise: str, door: str, *, in_order: bool) -> None:
    """Record whether a polled door works; of several doors with the same labels the worst state is exported."""
    _door_in_order.labels(enterprise, door).set(in_order)


def count_import(state: str) -> None:
    """Count an import that has ended in this state."""
    _imports.labels(state).inc()


def count_import_declarations(made: int, refused: int) -> None:
    """Count declarations of an import that came into a message, and those that are refused."""
    _import_declarations.labels("made").inc(made)
    _import_declarations.labels("refused").inc(refused)
