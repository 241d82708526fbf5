"""Header and caller → nothing, or why this caller may not send it."""

from collections.abc import Iterator

from gateway.errors import Refused
from gateway.model import Enterprise, Envelope, Fault, Header


def authorise(header: Header, caller: Enterprise) -> None:
    """Let a caller speak only as itself (spec ceb/messages.md, BaseTransfer: copCode is the access client).

    A field that is missing is for `validate` to name. Raises Refused `not-your-identity`, rules
    `disabled`, `type_not_yours` and `not_yours`, with a fault for each; nothing in them tells of other
    enterprises.
    """
    _refuse([*_disabled(caller), *_other_type(header, caller), *_not_yours(header, caller)])


def authorise_envelope(envelope: Envelope, caller: Enterprise) -> None:
    """Let a caller's own DxpMsg carry only its own SenderId (spec dxp.md, DxpMsg). Raises as `authorise`."""
    path = "/DxpMsg/TransInfo/SenderId"
    if envelope.sender_id and envelope.sender_id not in caller.dxp_ids:
        _refuse([_fault(path, "发送方id", envelope.sender_id, "DXP ids")])


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise Refused("not-your-identity", faults)


def _disabled(caller: Enterprise) -> Iterator[Fault]:
    if caller.disabled:
        yield Fault(
            rule="disabled",
            message="this enterprise is disabled at the gateway",
            message_zh="该企业在本网关已停用",
            fix="ask the operator of the gateway",
        )


def _other_type(header: Header, caller: Enterprise) -> Iterator[Fault]:
    name = header.message_type.name
    if caller.message_types and name not in caller.message_types:
        yield Fault(
            path=f"/{name}",
            element=name,
            name_zh=header.message_type.title_zh,
            rule="type_not_yours",
            message=f"{name} is not one of the message types registered for you",
            message_zh=f"贵企业未登记报文类型{name}（{header.message_type.title_zh}）",
            fix="ask the operator of the gateway to register this type for you",
        )


def _not_yours(header: Header, caller: Enterprise) -> Iterator[Fault]:
    transfer = f"/{header.message_type.name}/BaseTransfer"
    if header.cop_code and header.cop_code not in caller.cop_codes:
        yield _fault(f"{transfer}/copCode", "报文传输的企业代码", header.cop_code, "enterprise codes")
    if header.dxp_id and header.dxp_id not in caller.dxp_ids:
        yield _fault(f"{transfer}/dxpId", "数据交换平台用户编号", header.dxp_id, "DXP ids")


def _fault(path: str, name_zh: str, value: str, kind: str) -> Fault:
    element = path.rpartition("/")[2]
    return Fault(
        path=path,
        element=element,
        name_zh=name_zh,
        value=value[:100],
        rule="not_yours",
        message=f"{element} is not one of the {kind} registered for you",
        message_zh=f"{name_zh}（{element}）不是贵企业登记的代码",
        fix=f"put your own code in {element}, or ask the operator to register this one for you",
    )
