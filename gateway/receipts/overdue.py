"""Reports answers that do not come, once, when they are later than usual (docs/adr/0023).

The keep role scans the sent entries, delayed by the time that an answer usually takes: one scan for each layer and
each time in the table of response times. What has no answer is recorded in the spool as overdue and reported; what is
answered later is taken back. Nothing is written for a message that is answered in time, and nothing when a message is
accepted.
"""

import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from gateway.config.gateway_toml import LOCAL, LayerName
from gateway.model import CodeClass
from gateway.observe.log import gathered, log
from gateway.rules.codes import Codes
from gateway.rules.loading import Rules
from gateway.rules.response_times import LAYERS
from gateway.sending.resend import AGAIN
from spool.entry import Overdue, Silent
from spool.store import Spool

_STRETCH: Final = 2000
"""Most entries in one step of a scan."""
_ROUND_S: Final = 1.0
"""Longest time that one round scans."""
_BACK: Final = timedelta(days=1)
"""On its first run a scan reports nothing that was overdue earlier than this before now."""
_TAKE_BACK_ROUNDS: Final = 12
_TAKEN_AT_ONCE: Final = 1000
_OPEN: Final = frozenset({CodeClass.PROGRESS, CodeClass.HOLD, CodeClass.UNKNOWN})


class OverdueScan:
    """Scans for overdue answers and takes back answered ones, a little in every round."""

    def __init__(self, spool: Spool, rules: Rules) -> None:
        self._spool = spool
        self._response_times = rules.response_times
        names = [kind.name for kind in rules.catalogue.declarations()]
        self._silences = {layer: overdue_of_layer(layer, tuple(names), rules) for layer in LAYERS}
        self._walks = [
            (layer, usual_s, Overdue(
                layer=layer,
                kinds=kinds,
                passing=self._silences[layer].passing,
                except_to=(LOCAL,),
            ))
            for (layer, usual_s), kinds in rules.response_times.horizons(names).items()
        ]  # fmt: skip
        self._rounds = 0
        self._after = 0

    def look(self, now: datetime) -> int:
        """Report what has become overdue; returns the number of declarations, each once per layer."""
        until = time.monotonic() + _ROUND_S
        told = 0
        for layer, usual_s, silent in self._walks:
            while time.monotonic() < until:
                found, more = self._walk(layer, usual_s, silent, now)
                told += found
                if not more:
                    break
        if self._rounds % _TAKE_BACK_ROUNDS == 0:
            self.take_back()
        self._rounds += 1
        return told

    def take_back(self) -> None:
        """Continue taking back what has been answered, from the oldest to the newest, then over again."""
        self._after = self._spool.end_overdue(
            list(self._silences.values()), after=self._after, limit=_TAKEN_AT_ONCE
        )

    def _walk(self, layer: LayerName, usual_s: int, silent: Overdue, now: datetime) -> tuple[int, bool]:
        until = now - timedelta(seconds=usual_s)
        walk = f"{layer} {usual_s}"
        look = self._spool.silent(walk, silent, until=until, start=until - _BACK, limit=_STRETCH)
        if look.at is None:
            return 0, False
        overdue = [
            one
            for one in look.silent
            if self._response_times.usual_s(one.kind, layer, one.sent_at) == usual_s
        ]
        new = self._spool.set_overdue(walk, look.at, overdue)
        _tell(new, layer, usual_s)
        return len(new), look.more


def overdue_of_layer(layer: LayerName, kinds: tuple[str, ...], rules: Rules) -> Overdue:
    """Define which answers leave a layer overdue.

    These are answers that ask to send the same again and, for the decision layer, all that decide nothing. An answer
    with an unknown status always ends the waiting.
    """
    passing = {f"DxpRep {code}" for code, one in rules.codes.platform.items() if one.retry == AGAIN}
    if layer == "decision":
        for kind in kinds:
            for receipt in rules.catalogue.types[kind].answered_by:
                passing |= {f"{receipt} {code}" for code in _undecided(receipt, rules.codes)}
    return Overdue(layer=layer, kinds=kinds, passing=tuple(sorted(passing)), except_to=(LOCAL,))


def _undecided(receipt: str, codes: Codes) -> set[str]:
    return {code for _, code in codes.statuses if codes.status(receipt, code).kind in _OPEN}


def _tell(overdue: list[Silent], layer: LayerName, usual_s: int) -> None:
    counts = Counter(one.uid for one in overdue)
    with gathered():
        for one in {one.uid: one for one in overdue}.values():
            log(
                "declaration.overdue",
                message_id=one.uid,
                enterprise=one.owner,
                message_type=one.kind,
                destination=one.destination,
                declarations=counts[one.uid],
                layer=layer,
                sent_at=one.sent_at,
                usual_s=usual_s,
            )
