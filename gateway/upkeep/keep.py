"""The keep role: periodic maintenance for the whole node, so that other roles need not do it."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from gateway.keys.public_keyring import PublicKeyring
from gateway.observe.log import log
from gateway.processes.stop import Stop
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.learning.code_scan import CodeScan
from gateway.receipts.overdue import OverdueScan
from gateway.receipts.rematching import Rematching
from gateway.sending.resend import log_ended
from gateway.upkeep.allowance_scan import AllowanceScan
from gateway.upkeep.checkpoints import Sealer
from gateway.upkeep.parcel_scan import ParcelScan
from gateway.upkeep.retention import Retention
from gateway.upkeep.stale_imports import StaleImports
from gateway.upkeep.token_expiry import TokenExpiry
from gateway.upkeep.watermarks import Gauge, WatermarkWatch
from signing.keys.expiry import step_of
from spool.errors import SpoolError
from spool.lifecycle import State
from spool.store import Spool

_ROUND_S: Final = 5.0
_TIDY_S: Final = 1.0
_DAY_ROUNDS: Final = int(86_400 / _ROUND_S)
_MINUTE_ROUNDS: Final = int(60 / _ROUND_S)
_HOUR_ROUNDS: Final = int(3_600 / _ROUND_S)
_PURGE_S: Final = 2.0
"""Longest time that one round purges."""


class Keep:
    """One process for the whole node."""

    def __init__(
        self,
        *,
        spool: Spool,
        filer: ReceiptFiler,
        keyring: PublicKeyring,
        gauge: Gauge,
        retention: Retention | None,
        waits_s: Mapping[str, float],
        lease_s: float,
        endings: Sequence[TokenExpiry] = (),
        sealer: Sealer | None = None,
        overdue_scan: OverdueScan | None = None,
        code_scan: CodeScan | None = None,
        parcel_scan: ParcelScan | None = None,
        allowance_scan: AllowanceScan | None = None,
        stale_imports: StaleImports | None = None,
    ) -> None:
        """`sealer`: None when no proofs are wanted; `retention`: None keeps everything for ever.

        `overdue_scan`: None reports no missing answers; `code_scan`: None learns nothing of codes; `parcel_scan`: None
        compares no documents; `allowance_scan`: None keeps no allowances; `stale_imports`: None deletes no imports. `waits_s`: destination → its longest back-off.
        """
        self._spool = spool
        self._rematching = Rematching(spool, filer)
        self._keyring = keyring
        self._gauge = gauge
        self._watch = WatermarkWatch()
        self._retention = retention
        self._waits_s = waits_s
        self._lease_s = lease_s
        self._endings = endings
        self._sealer = sealer
        self._overdue_scan = overdue_scan
        self._code_scan = code_scan
        self._parcel_scan = parcel_scan
        self._allowance_scan = allowance_scan
        self._stale_imports = stale_imports
        self._untidy = False
        """Tidying has failed, and this was logged."""
        self._next_purge = 0
        self._rounds = 0

    def run(self, stop: Stop) -> None:
        """Do a round every few seconds until asked to stop."""
        while not stop():
            self.round()
            if self._sealer is not None:
                self._sealer.look(stop)
            if self._rounds % _DAY_ROUNDS == 0:
                self.look_at_certificates()
                self.look_at_logins()
                self._rematching.look_at_mail()
            if self._retention is not None and self._rounds >= self._next_purge:
                self._next_purge = self._rounds + (1 if self.purge(stop, self._retention) else _HOUR_ROUNDS)
            self._rounds += 1
            self._tidy(stop)
        if self._sealer is not None:
            self._sealer.finish()

    def _tidy(self, stop: Stop) -> None:
        """Wait for the next round; meanwhile run the spool's own maintenance, so that it delays no other process."""
        for _ in range(round(_ROUND_S / _TIDY_S)):
            if stop():
                return
            self._tidy_once()
            stop.pause(_TIDY_S)

    def _tidy_once(self) -> None:
        """Tidy; a failure is logged once and retried. Until it succeeds, only the database's log grows."""
        try:
            self._spool.tidy()
            self._untidy = False
        except SpoolError as error:
            if not self._untidy:
                log("spool.tidy_failed", error=str(error))
            self._untidy = True

    def round(self) -> None:
        """Check watermarks, repair the clock, release the entries of unresponsive processes, and check the answers."""
        self._watch.look(self._gauge.crossed())
        for destination, wait_s in self._waits_s.items():
            self._repair_clock(destination, wait_s)
        freed = self._spool.recover()
        if freed:
            log("lease.expired", entries=len(freed))
            log_ended(one for one in freed if one.state is State.DEAD)
        self._look_at_answers()

    def _look_at_answers(self) -> None:
        """Rematch orphans, report answers that do not come and documents that do not agree, and learn from what came."""
        try:
            self._rematching.look()
            if self._overdue_scan is not None:
                self._overdue_scan.look(datetime.now(UTC))
            if self._code_scan is not None:
                self._code_scan.look()
            if self._parcel_scan is not None:
                self._parcel_scan.look(datetime.now(UTC))
            if self._allowance_scan is not None:
                self._allowance_scan.look(datetime.now(UTC))
            if self._stale_imports is not None and self._rounds % _MINUTE_ROUNDS == 0:
                self._stale_imports.look(datetime.now(UTC))
        except SpoolError as error:  # a message was just purged, or the disk is full: the next round goes on
            log("spool.unavailable", error=str(error))

    def _repair_clock(self, destination: str, wait_s: float) -> None:
        near = 0
        while found := self._spool.repair_clock(destination, wait_s=wait_s, lease_s=self._lease_s):
            near += found
        if near:
            log("clock.set_back", destination=destination, entries=near)

    def purge(self, stop: Stop, retention: Retention) -> bool:
        """Archive and purge for a limited time; says whether there is more. A failure is logged and retried later."""
        until = time.monotonic() + _PURGE_S
        purged, more = 0, True
        try:
            while more and not stop() and time.monotonic() < until:
                batch = retention.step()
                purged += len(batch.purged)
                more = batch.more
        except SpoolError as error:
            log("spool.purge_failed", error=str(error))
            more = False
        if purged:
            log("spool.purged", messages=purged)
        return more

    def look_at_certificates(self) -> None:
        """Warn of signing certificates that expire soon, or have expired."""
        now = datetime.now(UTC)
        for name, member in self._keyring.ends():
            step = step_of(member.not_after, now)
            if step is not None:
                log(
                    "certificate.expiring",
                    key_name=name,
                    certificate=member.serial,
                    not_after=member.not_after.isoformat(),
                    within_days=step,
                )

    def look_at_logins(self) -> None:
        """Warn of enterprises' tokens and HMAC keys that expire soon, or have expired."""
        now = datetime.now(UTC)
        for one in self._endings:
            step = step_of(one.until, now)
            if step is not None:
                log(
                    "login.expiring",
                    enterprise=one.enterprise,
                    kind=one.kind,
                    proof=one.proof,
                    until=one.until.isoformat(),
                    within_days=step,
                )
