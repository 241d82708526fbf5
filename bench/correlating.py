"""Data for `correlate`: enterprises with equal numbers, and shuffled answers of customs, each with one right owner.

Every enterprise declares the same copNos, so only the agentCode, the receiver of the envelope and the numbers known
from earlier answers distinguish them. Each declaration gets four answers: 622 saved at E-Port, 622 released (with the
invtNo), 816 and 818, which have only the invtNo. Some declarations are submitted only after their answers have come.
"""

import hashlib
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.config.gateway_toml import Config, Destination, LimitsConfig, Node, Signing
from gateway.config.links import Folder
from gateway.config.local_receivers import NOBODY, LocalReceivers, local_receivers_of
from gateway.identity import identity
from gateway.model import Enterprise, EnterpriseId, Envelope, Message
from gateway.receipts.filing import ReceiptFiler
from gateway.receipts.rematching import Rematching
from gateway.receipts.transfer import Transfer
from gateway.rules.loading import Rules, load_rules
from gateway.samples.compose import compose
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import examine
from gateway.xml.envelope import wrap
from spool.entry import Collected, NewMessage
from spool.store import Spool

ANSWERS_EACH: Final = 4
KIND: Final = "CEB621Message"
_CEB: Final = "http://www.chinaport.gov.cn/ceb"
_BODIES: Final = 100
_BATCH: Final = 64
_WHOLE: Final = 0.5
"""Share of the declarations whose receipts have the agentCode, which is optional there."""

TellAnswer = tuple[str, str, str]
"""Receipt type, status, time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelateResult:
    """The outcome of a run."""

    receipts: int
    filing_s: float
    """Time to keep and file all answers."""
    orphans: int
    """Orphans after all answers had come."""
    rematched: int
    """Of these, matched after their declarations were accepted."""
    rematching_s: float
    left: int
    """Orphans at the end."""
    wrong: int
    """Declarations whose timeline is not exactly their own answers."""
    strangers: int
    """Difference between the numbers of notices and of answers: not 0 if an answer went to further enterprises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Declared:
    owner: str
    dxp_id: str
    name: str
    """Its identity."""
    key: Mapping[str, str]
    told: list[TellAnswer]
    """Exactly the answers to it; no two answers have the same time."""


class World:
    """`receipts` answers to declarations of `enterprises`; `late`: the share declared after its answers."""

    def __init__(self, *, receipts: int, enterprises: int, late: float = 0.05, seed: int = 23) -> None:
        self._rng = random.Random(seed)  # noqa: S311 (invented data)
        self._rules = load_rules()
        each = max(1, receipts // ANSWERS_EACH // enterprises)
        self._offers: list[NewMessage] = []
        self._late: list[NewMessage] = []
        self._declared: list[_Declared] = []
        self._told = 0
        tenants = [_tenant(number) for number in range(enterprises)]
        self._local_receivers = local_receivers_of(tenants)
        for who in tenants:
            self._enterprise(who, each, round(each * late))
        self._raws = [raw for one in self._declared for raw in self._answers(one)]
        self._rng.shuffle(self._raws)

    def run(self, spool: Spool) -> CorrelateResult:
        """Run the measure in an empty spool."""
        filer = filer_of(spool, self._rules, self._local_receivers)
        rematching = Rematching(spool, filer)
        spool.put(self._offers)
        began = time.perf_counter()
        for first in range(0, len(self._raws), _BATCH):
            spool.keep(_collected(self._raws[first : first + _BATCH], first))
            filer.file_waiting()
        filed = time.perf_counter()
        orphans = spool.outstanding().orphans
        rematching.look()  # as the keep role does in each round: nothing that they wait for has come
        spool.put(self._late)
        began_again = time.perf_counter()
        rematched = 0
        while found := rematching.look():
            rematched += found
        ended = time.perf_counter()
        wrong = sum(_timeline(spool, one) != sorted(one.told) for one in self._declared)
        return CorrelateResult(
            receipts=len(self._raws),
            filing_s=filed - began,
            orphans=orphans,
            rematched=rematched,
            rematching_s=ended - began_again,
            left=spool.outstanding().orphans,
            wrong=wrong,
            strangers=abs(sum(spool.outstanding().unacknowledged.values()) - len(self._raws)),
        )

    def _enterprise(self, who: Enterprise, each: int, late: int) -> None:
        (code,), (dxp_id,) = who.cop_codes, who.dxp_ids
        shared = random.Random(0)  # noqa: S311 (the same copNos for all)
        for count, offers in ((each - late, self._offers), (late, self._late)):
            for bodies in [_BODIES] * (count // _BODIES) + ([count % _BODIES] if count % _BODIES else []):
                made = compose(KIND, cop_code=code, dxp_id=dxp_id, bodies=bodies, items=1, rng=shared)
                message = examine(
                    made.body, who, self._rules, LimitsConfig(), local_receivers=self._local_receivers
                )
                assert isinstance(message, Message), message  # noqa: S101 (composed by our own schema)
                offers.append(
                    new_message_of(message, who, uid=new_message_id(datetime.now(UTC)), config=_CONFIG)
                )
                for one in message.header.declarations:
                    self._declared.append(
                        _Declared(owner=who.id, dxp_id=dxp_id, name=identity(one), key=one.key, told=[])
                    )

    def _answers(self, one: _Declared) -> Iterator[bytes]:
        digest = hashlib.sha256(f"{one.owner} {one.name}".encode()).hexdigest().upper()
        pre_no, invt_no = f"B20241111{digest[:9]}", f"51002024I{digest[9:18]}"
        whole = f"<agentCode>{one.key['agentCode']}</agentCode>" if self._rng.random() < _WHOLE else ""
        copied = f"{whole}<copNo>{one.key['copNo']}</copNo><preNo>{pre_no}</preNo>"
        bill = f"<invtNo>{invt_no}</invtNo><taxNo>{invt_no}_0</taxNo><status>1</status>"
        yield self._returned(one, "2", copied)
        yield self._returned(one, "800", f"{copied}<invtNo>{invt_no}</invtNo>")
        yield self._billed(one, "CEB816Message", "TaxHeadRd", bill, "<TaxListRd><gnum>1</gnum></TaxListRd>")
        yield self._billed(one, "CEB818Message", "TaxHeadStatus", bill, "")

    def _returned(self, one: _Declared, status: str, fields: str) -> bytes:
        at = self._at(one, "CEB622Message", status)
        said = f"<returnStatus>{status}</returnStatus><returnTime>{at}</returnTime><returnInfo></returnInfo>"
        return self._sealed(one, "CEB622Message", f"<InventoryReturn>{fields}{said}</InventoryReturn>")

    def _billed(self, one: _Declared, kind: str, head: str, fields: str, lines: str) -> bytes:
        at = self._at(one, kind, "1")
        return self._sealed(
            one, kind, f"<Tax><{head}><returnTime>{at}</returnTime>{fields}</{head}>{lines}</Tax>"
        )

    def _at(self, one: _Declared, kind: str, status: str) -> str:
        """Return the time of the next answer, 17 digits, and add the answer to the expected ones."""
        self._told += 1
        at = f"20241111{self._told:09d}"
        one.told.append((kind, status, at))
        return at

    def _sealed(self, one: _Declared, kind: str, body: str) -> bytes:
        guid = f"{self._rng.getrandbits(128):032X}"
        business = f'<?xml version="1.0" encoding="UTF-8"?><{kind} xmlns="{_CEB}" guid="{guid}" version="1.0">{body}</{kind}>'
        envelope = Envelope(
            cop_msg_id=guid,
            sender_id="DXPEDCCEB0000002",
            receiver_ids=(one.dxp_id,),
            creat_time="2024-11-11T00:00:05",
            msg_type=kind,
        )
        return wrap(business.encode(), envelope)


def _timeline(spool: Spool, one: _Declared) -> list[TellAnswer]:
    return sorted((row.kind, row.status, row.at) for row in spool.timeline(one.owner, one.name))


def _tenant(number: int) -> Enterprise:
    return Enterprise(
        id=EnterpriseId(f"enterprise{number}"),
        name=f"Enterprise {number}",
        cop_codes=frozenset({f"44{number:08d}"}),
        dxp_ids=frozenset({f"DXPENT{number:010d}"}),
        token_sha256=(),
    )


def filer_of(spool: Spool, rules: Rules, local_receivers: LocalReceivers = NOBODY) -> ReceiptFiler:
    """Return a receipt filer for a node without links."""
    return ReceiptFiler(
        spool=spool,
        rules=rules,
        config=_CONFIG,
        transfer=Transfer(local_receivers=local_receivers, config=_CONFIG),
    )


def _collected(raws: Sequence[bytes], first: int) -> list[Collected]:
    return [
        Collected(feed="customs", name=f"{first + place}.xml", body=raw, sha256=hashlib.sha256(raw).digest())
        for place, raw in enumerate(raws)
    ]


_CONFIG: Final = Config(
    node=Node(name="bench", state_dir=Path("state"), dxp_id="DXPNODE000000001"),
    signing=Signing(default_key="none"),
    key=(),
    destination=(Destination(name="customs", folder=Folder(send_dir=Path("out"), receive_dir=Path("in"))),),
)
