"""`gateway envelope`: wraps a document in DxpMsg and DxpMsgSv and unwraps it, byte for byte."""

import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from lxml import etree

from gateway.cli.options import document_argument, out_option
from gateway.cli.output import deliver
from gateway.cli.validate import read
from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import EnvelopeError, Refused
from gateway.model import Envelope
from gateway.rules.loading import RULES, load_catalogue
from gateway.submission.identify import texts
from gateway.xml.decode import decode
from gateway.xml.envelope import (
    TransferHead,
    creat_time,
    file_name,
    root_name,
    transfer_msg_id,
    unwrap,
    wrap,
    wrap_transfer,
)

_SENDER_CHARACTERS: Final = 16
_NODE: Final = re.compile(r"\d{8}")


def _node_number(_ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    if not _NODE.fullmatch(value):
        raise click.BadParameter("8 digits, as 46000002", param=parameter)
    return value


@click.group()
def envelope() -> None:
    """Wrap and unwrap DxpMsg and DxpMsgSv, byte for byte."""


@envelope.command("wrap")
@document_argument
@click.option("--sender", default="", help="SenderId; default: dxpId of the document's BaseTransfer.")
@click.option("--receiver", "receivers", multiple=True, help="ReceiverId, 1 to 5; default: by message type.")
@click.option("--cop-msg-id", default="", help="CopMsgId; default: a fresh upper-case UUID.")
@click.option("--transfer", is_flag=True, help="Put a DxpMsgSv around it, as a transfer node does.")
@click.option(
    "--node-id", default="00000000", show_default=True, callback=_node_number, help="Node that makes MsgId."
)
@click.option(
    "--end-node", default="00000002", show_default=True, callback=_node_number, help="Node of the receiver."
)
@click.option("--sta-node", default="", help="Node of the sender; default: --node-id.")
@out_option
def wrap_(
    *,
    document: Path,
    sender: str,
    receivers: tuple[str, ...],
    cop_msg_id: str,
    transfer: bool,
    node_id: str,
    end_node: str,
    sta_node: str,
    out: Path | None,
) -> None:
    """Put FILE into a DxpMsg, with --transfer into a DxpMsgSv around that.

    A FILE that is a DxpMsg already is put into the DxpMsgSv as it is.
    """
    body, now = read(document), datetime.now(UTC)
    if root_name(body) == "DxpMsg":
        if not transfer:
            raise click.UsageError("FILE is a DxpMsg already; --transfer puts a DxpMsgSv around it")
        sealed = body
    else:
        facts = _envelope(body, sender, receivers, cop_msg_id or str(uuid.uuid4()).upper(), now)
        sealed = wrap(body, facts, file_name=file_name(facts.msg_type, facts.cop_msg_id))
    if transfer:
        head = TransferHead(
            msg_id=transfer_msg_id(node_id, now, now.microsecond),
            sub_msg_id="",
            send_time=creat_time(now),
            end_node=end_node,
            sta_node=sta_node or node_id,
        )
        sealed = wrap_transfer(sealed, head)
    deliver(sealed, out)


@envelope.command("unwrap")
@document_argument
@click.option(
    "--layer",
    type=click.Choice(["business", "dxpmsg"]),
    default="business",
    show_default=True,
    help="What to take out: what Data holds, or the DxpMsg of a DxpMsgSv.",
)
@out_option
def unwrap_(document: Path, layer: str, out: Path | None) -> None:
    """Take the document out of the DxpMsg or DxpMsgSv in FILE. Exit code 1: it cannot be opened."""
    opened = unwrap(read(document))
    deliver(opened.business if layer == "business" else opened.dxp_msg, out)


def _envelope(
    body: bytes, sender: str, receivers: tuple[str, ...], cop_msg_id: str, now: datetime
) -> Envelope:
    try:
        root = decode(body, LimitsConfig())
    except Refused as refused:
        raise EnvelopeError(refused.what, fix="wrap a CEB document") from refused
    name = etree.QName(root).localname
    kind = load_catalogue(RULES / "mappings" / "catalogue.toml").by_name(name)
    usual = (kind.receiver,) if kind and kind.receiver else ()
    return Envelope(
        cop_msg_id=cop_msg_id,
        sender_id=sender or _sender(root),
        receiver_ids=receivers or usual or _ask("--receiver", f"{name} has no usual receiver"),
        creat_time=creat_time(now),
        msg_type=name,
    )


def _sender(root: etree._Element) -> str:
    transfer = next(root.iterchildren("{*}BaseTransfer"), None)
    found = "" if transfer is None else texts(transfer, ("dxpId",)).get("dxpId", "")
    if not 1 <= len(found) <= _SENDER_CHARACTERS:
        _ask("--sender", "BaseTransfer names no dxpId of 1 to 16 characters")
    return found


def _ask(option: str, why: str) -> tuple[str, ...]:
    raise click.UsageError(f"{why}: give {option}")
