"""What the tests of the customs side share: rules, one signing key, envelopes, and receipts read back."""

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lxml import etree

from gateway.model import Envelope
from gateway.rules.loading import Rules
from gateway.rules.schemas import View
from gateway.samples.compose import Composed, catalogue, compose
from gateway.simulator.outgoing import Outgoing
from gateway.submission.validate import validate
from gateway.xml.envelope import root_name, unwrap, wrap
from signing.keys.certificate import make_self_signed
from signing.keys.files import Signer, load_pem
from signing.keys.sm2_certificate import make_self_signed_sm2
from signing.xml.splice import sign
from tests.shipped_rules import shipped

COP, DXP = "9901960X01", "DXPENT0000000001"
DECLARATIONS = [kind.name for kind in catalogue().declarations()]
START = 1731254401.0
"""2024-11-11 00:00:01 in Beijing."""


class HandClock:
    """Seconds since 1970 that move when told to."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@lru_cache(maxsize=1)
def rules() -> Rules:
    return shipped()


@lru_cache
def signer(suite: str = "rsa-sha1") -> Signer:
    is_rsa = suite == "rsa-sha1"
    key, certificate = make_self_signed("样例申报企业") if is_rsa else make_self_signed_sm2("样例申报企业")
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "key.pem"), Path(folder, "certificate.pem")
        for file, content in zip(files, (key, certificate), strict=True):
            file.touch(0o600)
            file.write_bytes(content)
        return load_pem(*files, suite=suite)


def signed(composed: Composed, suite: str = "rsa-sha1") -> bytes:
    kind = rules().catalogue.types[composed.message_type]
    return sign(composed.body, signer(suite), before=kind.signature_before).body


def sample(message_type: str = "CEB311Message", *, seed: int = 1, **changes: object) -> Composed:
    arguments: dict[str, object] = {"cop_code": COP, "dxp_id": DXP, "rng": random.Random(seed), **changes}
    return compose(message_type, **arguments)  # type: ignore[arg-type]  # a test names what it varies


def envelope(
    business: bytes, cop_msg_id: str = "COP-1", *, sender_id: str = DXP, msg_type: str = ""
) -> bytes:
    head = Envelope(
        cop_msg_id=cop_msg_id,
        sender_id=sender_id,
        receiver_ids=("DXPEDCCEB0000002",),
        creat_time="2024-11-11T00:00:01",
        msg_type=msg_type,
    )
    return wrap(business, head)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One receipt body read back: its leaves by name."""

    receipt: str
    fields: Mapping[str, str]

    @property
    def status(self) -> str:
        return self.fields.get("returnStatus") or self.fields.get("status") or self.fields.get("decState", "")


def bodies(outgoing: Sequence[Outgoing]) -> list[Body]:
    """Every body of every business receipt, in the order in which they went out."""
    found: list[Body] = []
    for one in outgoing:
        if root_name(one.body) in {"DxpMsg", "DxpMsgSv"}:
            root = etree.fromstring(unwrap(one.body).business)
            found += [
                Body(receipt=etree.QName(root).localname, fields=leaves(body)) for body in root.iterchildren()
            ]
    return found


def leaves(element: etree._Element) -> dict[str, str]:
    fields: dict[str, str] = {}
    for node in element.iter("*"):
        if not len(node):
            fields.setdefault(etree.QName(node).localname, node.text or "")
    return fields


def faults(document: bytes, view: View = View.SENDABLE) -> list[tuple[str, str]]:
    found = validate(etree.fromstring(document), rules().schemas, view)
    return [(fault.path, fault.rule) for fault in found]
