"""The keep role: what has to be done now and then so that the others need not think of it."""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.observe import log
from gateway.roles.collect import Registry
from gateway.roles.stop import Stop
from signing.keys import Signer, certificate_facts
from spool.store import Spool

_EXPIRING: Final = timedelta(days=30)
_LOW_BYTES: Final = 1 << 30
_ROUND_S: Final = 5.0
_DAY_ROUNDS: Final = int(86_400 / _ROUND_S)


class Keep:
    """One process for the whole node."""

    def __init__(
        self,
        *,
        spool: Spool,
        registry: Registry,
        signers: Mapping[str, Signer],
        state_dir: Path,
    ) -> None:
        self._spool = spool
        self._registry = registry
        self._signers = signers
        self._state_dir = state_dir
        self._low = False

    def run(self, stop: Stop) -> None:
        """Make the round every few seconds until asked to stop."""
        rounds = 0
        while not stop():
            self.round()
            if rounds % _DAY_ROUNDS == 0:
                self.look_at_certificates()
                self._registry.rematch(self._spool.orphans())
            rounds += 1
            stop.pause(_ROUND_S)

    def round(self) -> None:
        """Free what silent processes hold, and look at the disk."""
        freed = self._spool.recover()
        if freed:
            log("lease.expired", entries=freed)
        free = shutil.disk_usage(self._state_dir).free
        if free < _LOW_BYTES and not self._low:
            log("spool.watermark", free_bytes=free, mark_bytes=_LOW_BYTES)
        self._low = free < _LOW_BYTES

    def look_at_certificates(self) -> None:
        """Warn of signing certificates that end soon."""
        for name, signer in self._signers.items():
            ends = certificate_facts(signer.certificate_der).not_after
            if ends - datetime.now(UTC) < _EXPIRING:
                log("certificate.expiring", key_name=name, not_after=ends.isoformat())
