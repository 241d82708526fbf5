"""Checks from the header whether this caller may send the message, and reports why not."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from gateway.config.local_receivers import NOBODY, LocalReceivers
from gateway.errors import Refused
from gateway.model import Declaration, Enterprise, Envelope, Fault, Header, MessageType
from gateway.rules.texts import fault_of, named

_FAULTS: Final = 200
"""Most faults reported about codes of others."""
_CODES_ZH: Final = {
    "ebpCode": "电商平台代码",
    "ebcCode": "电商企业代码",
    "payCode": "支付企业代码",
    "logisticsCode": "物流企业代码",
    "agentCode": "申报企业代码",
    "operatorCode": "监管场所经营人代码",
}


def authorise(
    header: Header, caller: Enterprise, local_receivers: LocalReceivers = NOBODY, *, sender_id: str = ""
) -> None:
    """Let a caller speak only as itself (docs/spec/messages.md, BaseTransfer: copCode is the access client).

    A missing field is left to `validate`. `sender_id`: of the caller's own envelope, if there is one.
    Raises Refused `not-your-identity`, rules `disabled`, `type_not_yours`, `not_yours`, `code_of_another` and
    `code_not_bound`, with a fault for each; no fault names the other enterprise.
    """
    foreign = islice(_foreign_keys(header, caller, local_receivers, sender_id), _FAULTS)
    _refuse([*_disabled(caller), *_other_type(header, caller), *_not_yours(header, caller), *foreign])


def authorise_envelope(envelope: Envelope, caller: Enterprise) -> None:
    """Let a caller's own DxpMsg carry only its own SenderId (docs/spec/dxp.md, DxpMsg). Raises as `authorise`."""
    path = "/DxpMsg/TransInfo/SenderId"
    if envelope.sender_id and envelope.sender_id not in caller.dxp_ids:
        _refuse([_fault(path, "发送方id", envelope.sender_id, "DXP ids")])


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise Refused("not-your-identity", faults)


def _disabled(caller: Enterprise) -> Iterator[Fault]:
    if caller.disabled:
        yield fault_of("submission.disabled")


def _other_type(header: Header, caller: Enterprise) -> Iterator[Fault]:
    name = header.message_type.name
    if caller.message_types and name not in caller.message_types:
        title = header.message_type.title_zh
        yield fault_of(
            "submission.type_not_yours",
            {"name": name, "title": title},
            path=f"/{name}",
            element=name,
            name_zh=title,
        )


def _not_yours(header: Header, caller: Enterprise) -> Iterator[Fault]:
    transfer = f"/{header.message_type.name}/BaseTransfer"
    if header.cop_code and header.cop_code not in caller.cop_codes:
        yield _fault(f"{transfer}/copCode", "报文传输的企业代码", header.cop_code, "enterprise codes")
    if header.dxp_id and header.dxp_id not in caller.dxp_ids:
        yield _fault(f"{transfer}/dxpId", "数据交换平台用户编号", header.dxp_id, "DXP ids")


def _foreign_keys(
    header: Header, caller: Enterprise, local_receivers: LocalReceivers, sender_id: str
) -> Iterator[Fault]:
    """Yield faults for declarations under the key of another enterprise (docs/adr/0029).

    A key is the caller's when none of its codes is bound only to others; where answers go to an address that the
    caller shares with others, one of the codes must be bound to the caller.
    """
    if not local_receivers.bound:
        return
    bound_to, who, names = local_receivers.bound.get, caller.id, header.message_type.key_codes
    needed = header.dxp_id in local_receivers.crowded or sender_id in local_receivers.crowded
    for number, declaration in enumerate(header.declarations, start=1):
        judged = False
        for name in names:
            code = declaration.key.get(name, "")
            owners = bound_to(code)
            if owners is not None:
                judged = True
                if who not in owners:
                    yield _code_of_another(header.message_type, number, name, code)
        if needed and not judged:
            yield _code_not_bound(header.message_type, number, declaration)


def _code_of_another(kind: MessageType, number: int, name: str, code: str) -> Fault:
    name_zh = _CODES_ZH.get(name, "")
    return fault_of(
        "submission.code_of_another",
        {"name": name, "label": named(name, name_zh)},
        path=f"{_head(kind, number)}/{name}",
        element=name,
        name_zh=name_zh,
        value=code[:100],
    )


def _code_not_bound(kind: MessageType, number: int, declaration: Declaration) -> Fault:
    first, names = kind.key_codes[0], ", ".join(kind.key_codes)
    return fault_of(
        "submission.code_not_bound",
        {"names": names},
        path=f"{_head(kind, number)}/{first}",
        element=first,
        name_zh=_CODES_ZH.get(first, ""),
        value=declaration.key.get(first, "")[:100],
    )


def _head(kind: MessageType, number: int) -> str:
    return f"/{kind.name}/{kind.body}[{number}]" + (f"/{kind.head}" if kind.head else "")


def _fault(path: str, name_zh: str, value: str, kind: str) -> Fault:
    element = path.rpartition("/")[2]
    return fault_of(
        "submission.not_yours",
        {"name": element, "kind": kind, "label": named(element, name_zh)},
        path=path,
        element=element,
        name_zh=name_zh,
        value=value[:100],
    )
