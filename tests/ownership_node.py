"""A node of several enterprises, for tests of whose an answer is: the door's judgement, the spool, the filing; no network."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench.correlating import filer_of
from gateway.config.gateway_toml import LimitsConfig
from gateway.config.local_receivers import LocalReceivers, local_receivers_of
from gateway.model import Enterprise, EnterpriseId, Envelope
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.rematching import Rematching
from gateway.rules.loading import Rules
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import Refusal, examine
from gateway.xml.envelope import wrap
from spool.entry import Accepted, Collected
from spool.store import Spool
from tests.unit.test_new_messages import config

CUSTOMS = "DXPEDCCEB0000002"


def tenant(name: str, *dxp_ids: str, cop_code: str, acts_for: Collection[str] = ()) -> Enterprise:
    return Enterprise(
        id=EnterpriseId(name),
        name=name,
        cop_codes=frozenset({cop_code}),
        dxp_ids=frozenset(dxp_ids),
        acts_for=frozenset(acts_for),
    )


@dataclass(kw_only=True)
class Node:
    spool: Spool
    rules: Rules
    tenants: dict[str, Enterprise]
    local_receivers: LocalReceivers
    filer: ReceiptFiler
    rematching: Rematching
    _came: int = field(default=0)

    @classmethod
    def of(cls, spool: Spool, rules: Rules, tenants: Iterable[Enterprise]) -> "Node":
        known = {str(one.id): one for one in tenants}
        local_receivers = local_receivers_of(known.values())
        filer = filer_of(spool, rules, local_receivers)
        return cls(
            spool=spool,
            rules=rules,
            tenants=known,
            local_receivers=local_receivers,
            filer=filer,
            rematching=Rematching(spool, filer),
        )

    def declare(self, who: str, body: bytes, *, judged: bool = True) -> list[str]:
        """Hand a message in; returns the rules of its faults. `judged`: codes are looked at as they are today."""
        caller = self.tenants[who]
        local_receivers = self.local_receivers if judged else LocalReceivers(holders={})
        message = examine(body, caller, self.rules, LimitsConfig(), local_receivers=local_receivers)
        if isinstance(message, Refusal):
            return [fault.rule for fault in message.faults]
        uid = new_message_id(datetime.now(UTC))
        new = new_message_of(message, caller, uid=uid, config=config(), local_receivers=self.local_receivers)
        (reply,) = self.spool.put([new])
        assert isinstance(reply, Accepted), reply
        return []

    def come(self, *bodies: bytes) -> None:
        """Let these come in one batch."""
        raws = []
        for body in bodies:
            self._came += 1
            raws.append(
                Collected(
                    feed="customs", name=str(self._came), body=body, sha256=hashlib.sha256(body).digest()
                )
            )
        self.spool.keep(raws)
        self.filer.file_waiting()

    def told(self, who: str) -> list[tuple[str, str, str]]:
        """Return what an enterprise hears: identity, receipt type and time of each row, notice by notice."""
        found, after = [], 0
        while page := self.spool.notices(who, after=after, limit=500):
            found += [(row.identity, row.kind, row.at) for notice in page for row in notice.rows]
            after = page[-1].cursor
        return found

    def orphans(self) -> list[str]:
        return [one.reason for one in self.spool.orphans()]


def envelope(business: bytes, receivers: Sequence[str], sender: str = CUSTOMS) -> bytes:
    """Put a document into an envelope; with no receivers it stays as it is."""
    if not receivers:
        return business
    return wrap(
        business,
        Envelope(
            cop_msg_id=hashlib.sha256(business + "".join(receivers).encode()).hexdigest(),
            sender_id=sender,
            receiver_ids=tuple(receivers),
            creat_time="2025-01-02T12:05:06",
        ),
    )
