"""Several enterprises of one node that declare the documents of one parcel, on a spool without processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.config.gateway_toml import Matching
from gateway.model import Enterprise, EnterpriseId, Message
from gateway.parcels.facts import Linker
from gateway.parcels.person_allowance import PersonAllowance
from gateway.parcels.reading import ParcelReader
from gateway.parcels.texts import ParcelTexts
from gateway.rules.loading import Rules
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import examine
from gateway.views.parcels import ParcelView, own_documents, parcel_view
from spool.entry import Accepted
from spool.store import Spool
from tests.parcel_documents import BROKER, CARRIER, PAYER, PLATFORM
from tests.spool_samples import START, Clock
from tests.unit.test_new_messages import config
from tests.unit.test_pipeline import LIMITS

STRANGER = "4400000066"
CODES = {
    "platform": PLATFORM, "payer": PAYER, "carrier": CARRIER, "broker": BROKER, "stranger": STRANGER,
}  # fmt: skip
"""Enterprise → its code; each has a DXP id of its own."""
LINKER = Linker(b"secret of the node, of 32 bytes!")


def enterprise(name: str) -> Enterprise:
    """Return one of `CODES`."""
    return Enterprise(
        id=EnterpriseId(name),
        name=name,
        cop_codes=frozenset({CODES[name]}),
        dxp_ids=frozenset({f"DXP{name.upper()[:10]}"}),
    )


ENTERPRISES = {name: enterprise(name) for name in CODES}


@dataclass
class ParcelNode:
    """Takes documents in as the doors do, and answers who asks for a parcel."""

    spool: Spool
    rules: Rules
    clock: Clock
    settings: Matching = field(default_factory=Matching)

    def reader(self) -> ParcelReader:
        """Return what the HTTP door reads with."""
        return ParcelReader(
            self.spool,
            ParcelTexts(self.rules.catalogue, self.rules.schemas),
            self.settings,
            {one.id: one.cop_codes | one.acts_for for one in ENTERPRISES.values()},
            PersonAllowance(self.spool, self.rules.codes),
        )

    def accept(self, owner: str, write: Callable[..., bytes], **said: str | None) -> str:
        """Take in one document of an enterprise; its id."""
        return self.accept_body(
            owner, write(cop_code=CODES[owner], dxp_id=f"DXP{owner.upper()[:10]}", **said)
        )

    def accept_body(self, owner: str, body: bytes) -> str:
        """Take in a message."""
        caller = ENTERPRISES[owner]
        message = examine(body, caller, self.rules, LIMITS, link=LINKER)
        assert isinstance(message, Message), message
        (reply,) = self.spool.put(
            [new_message_of(message, caller, uid=new_message_id(self.clock.now), config=config())]
        )
        assert isinstance(reply, Accepted), reply
        return reply.uid

    def asked(self, owner: str, **number: str) -> ParcelView:
        """Answer an enterprise as the HTTP door does."""
        reader = self.reader()
        own = own_documents(reader, self.spool, ENTERPRISES[owner], **number)
        return parcel_view(reader, self.spool, self.rules, own, lanes=(), now=self.clock.now)


def rules_broken(view: ParcelView) -> list[tuple[str, str, str]]:
    """Return kind of the own document, rule and element of everything that does not agree or is missing."""
    return [(one.kind, said.rule, said.element) for one in view.documents for said in one.compared.matching]


def present(view: ParcelView) -> Sequence[dict[str, bool]]:
    """Return, for each own document, which others are there."""
    return [{other.kind: other.present for other in one.compared.others} for one in view.documents]


__all__ = ["CODES", "ENTERPRISES", "LINKER", "START", "ParcelNode", "present", "rules_broken"]
