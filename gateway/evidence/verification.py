"""Verifies an evidence file with only the file and the node's public key. Pure; reports what holds and what does not.

Each finding is proven, broken (the file contradicts itself or the signatures), or open (claimed, not proven by this
file). Without the key nobody can alter the file unnoticed, not even the node's operator; with the key, what a
checkpoint kept by a third party covers still cannot be changed (docs/adr/0018).
"""

import hashlib
import json
from collections.abc import Sequence
from typing import BinaryIO

from gateway.errors import EnvelopeError, RulesError
from gateway.evidence import bundle as form
from gateway.evidence.bundle import Bundle, EventPart, ReceiptPart, SentPart
from gateway.evidence.findings import (
    EvidenceFinding,
    FindingMark,
    Findings,
    broken,
    differences,
    proven,
    unproven,
)
from gateway.evidence.translation_findings import Repeat, translation_findings
from gateway.facts import SentFacts, sent_facts
from gateway.provenance.repeat import NotRepeated, RecordedTranslation, RepeatedTranslation, repeated
from gateway.receipts.opened import unwrap_collected
from gateway.rules.loading import load_rules
from gateway.xml.envelope import unwrap
from spool.merkle import ProofError, check_consistency, root_by_inclusion
from spool.note import Checkpoint, NoteError, VerifierKey, opened, verified
from spool.sealing import leaf_of

__all__ = ["EvidenceFinding", "FindingMark", "repeat_shipped", "verify_bundle"]


def repeat_shipped(asked: RecordedTranslation) -> RepeatedTranslation | NotRepeated:
    """Repeat a translation with the schemas and tables of this package, in this process, however long it takes."""
    try:
        return repeated(asked, load_rules())
    except RulesError as error:
        return NotRepeated(reason=str(error), reason_zh=str(error), other=True)


def verify_bundle(
    content: bytes,
    keys: Sequence[VerifierKey],
    *,
    origin: str = "",
    source: BinaryIO | None = None,
    repeat: Repeat = repeat_shipped,
) -> list[EvidenceFinding]:
    """Verify a file; it holds when no finding is BROKEN. `origin`: the log's; empty: any log that the keys signed.

    `source`: what the message was made from, when the file has only its digest; `repeat`: translates it again.
    """
    try:
        bundle = form.decode(content)
    except ValueError as error:
        return [broken(f"this is no file of evidence: {error}", f"文件格式无法识别：{error}")]
    if bundle.format not in form.FORMATS or (bundle.format == form.FORMAT and bundle.translation is not None):
        return [broken(f"the form {bundle.format} is not known here", f"不支持的格式：{bundle.format}")]
    findings = list(_checkpoint(bundle, keys, origin))
    newest = _said(bundle.checkpoint, keys)
    if newest is None:
        return findings
    findings += _earlier(bundle, keys, newest)
    findings += _statement(bundle, keys)
    findings += _events(bundle, newest)
    findings += _accepted(bundle)
    findings += _translation(bundle, repeat, source)
    findings += _whole(bundle)
    for sent in bundle.sent:
        findings += _sent(bundle, sent)
    for receipt in bundle.receipts:
        findings += _receipt(bundle, receipt)
    return [*findings, *_open(bundle)]


def _said(note: str, keys: Sequence[VerifierKey]) -> Checkpoint | None:
    try:
        return verified(note, keys)
    except NoteError:
        return None


def _checkpoint(bundle: Bundle, keys: Sequence[VerifierKey], origin: str) -> Findings:
    try:
        newest = verified(bundle.checkpoint, keys)
    except NoteError as error:
        yield broken(f"the checkpoint does not hold: {error}", f"检查点验证失败：{error}")
        return
    if origin and newest.origin != origin:
        yield broken(
            f"the checkpoint is of another log, {newest.origin}", f"检查点属于另一日志：{newest.origin}"
        )
    yield proven(
        f"the node signed the log {newest.origin} with {newest.size} events",
        f"节点已对日志{newest.origin}（共{newest.size}个事件）签名",
    )


def _earlier(bundle: Bundle, keys: Sequence[VerifierKey], newest: Checkpoint) -> Findings:
    for one in bundle.earlier:
        try:
            older = verified(one.note, keys)
            check_consistency(
                old=older.size,
                old_root=older.root,
                new=newest.size,
                new_root=newest.root,
                proof=_hashes(one.proof),
            )
        except (NoteError, ProofError, ValueError) as error:
            yield broken(f"the earlier checkpoint does not hold: {error}", f"较早的检查点验证失败：{error}")
            continue
        if older.origin != newest.origin:
            yield broken("the earlier checkpoint is of another log", "较早的检查点属于另一日志")
        yield proven(
            f"from {older.size} to {newest.size} events the log was only added to",
            f"日志从{older.size}个事件增至{newest.size}个事件，仅有追加，未被改写",
        )


def _statement(bundle: Bundle, keys: Sequence[VerifierKey]) -> Findings:
    """Compare the file with the exporter's signed statement: events, their order, and everything else."""
    try:
        said = opened(bundle.statement, keys)
        numbers = form.events_said(said)
    except (NoteError, ValueError) as error:
        yield broken(f"the exporter's statement does not hold: {error}", f"导出声明验证失败：{error}")
        return
    present = tuple(one.number for one in bundle.events)
    for number in sorted(set(numbers) - set(present)):
        yield broken(f"event {number} was removed from the file", f"事件{number}已被从文件中删除")
    for number in sorted({one for one in present if present.count(one) > numbers.count(one)}):
        yield broken(f"event {number} was inserted into the file", f"事件{number}是后来插入文件的")
    if set(present) == set(numbers) and len(present) == len(numbers) and present != numbers:
        yield broken("the events were put in another order", "事件顺序被改动")
    if said != form.said_of(bundle):
        yield broken("the file was altered after its export", "文件在导出后被改动")


def _events(bundle: Bundle, newest: Checkpoint) -> Findings:
    sound = 0
    for one in bundle.events:
        named = f"event {one.number} ({one.event})"
        try:
            root = root_by_inclusion(leaf_of(one.line()), one.index, newest.size, _hashes(one.proof))
        except (ProofError, ValueError, OverflowError) as error:
            yield broken(f"{named}: the proof does not hold: {error}", f"事件{one.number}的证明无效：{error}")
            continue
        if root == newest.root:
            sound += 1
        else:
            yield broken(
                f"{named}: it is not in the log like this: its content, its place or its proof was altered",
                f"事件{one.number}与日志不符：内容、位置或证明被改动",
            )
    pairs = list(zip(bundle.events, bundle.events[1:], strict=False))
    if any(first.number >= second.number or first.index >= second.index for first, second in pairs):
        yield broken("the events are not in the order of the log", "事件未按日志顺序排列")
    yield proven(
        f"{sound} of {len(bundle.events)} events are in that log, unchanged, in this order",
        f"{len(bundle.events)}个事件中有{sound}个在该日志中，内容和顺序未变",
    )


def _accepted(bundle: Bundle) -> Findings:
    part, event = bundle.accepted, _event_of(bundle, bundle.accepted.event, "message.accepted")
    if event is None or event.uid != bundle.id:
        yield broken("the event of the acceptance is missing", "缺少接收事件")
        return
    said = {"sha256": part.sha256, "size": part.size, "type": bundle.message_type, "owner": bundle.owner}
    yield from differences("the acceptance", "接收事件", said, _detail(event))
    if part.body is None:
        yield unproven(
            f"the bytes handed in are not in this file, only their digest: sha256 {part.sha256}",
            f"本文件不含接收的原文，仅有摘要：sha256 {part.sha256}",
        )
    elif (_digest(part.body), len(part.body)) == (part.sha256, part.size):
        yield proven(
            f"{part.size} bytes were handed in, sha256 {part.sha256}",
            f"接收原文{part.size}字节，sha256 {part.sha256}",
        )
    else:
        yield broken("the bytes handed in were altered: their digest is another", "接收原文被改动：摘要不符")


def _translation(bundle: Bundle, repeat: Repeat, source: BinaryIO | None) -> Findings:
    event = _event_of(bundle, bundle.accepted.event, "message.accepted")
    return iter(()) if event is None else translation_findings(bundle, event, repeat, source)


def _whole(bundle: Bundle) -> Findings:
    """Check that the file has one part for each delivery and receipt in the events, and no others."""
    for parts, name, name_zh in (
        (bundle.sent, "entry.sent", "发送"),
        (bundle.receipts, "receipt.filed", "回执"),
    ):
        told = [one.number for one in bundle.events if one.event == name and _told(one)]
        if [part.event for part in parts] != told:
            yield broken(
                f"the parts about {name} are not those that the events tell of",
                f"{name_zh}部分与事件不一一对应",
            )


def _told(event: EventPart) -> bool:
    return event.event != "entry.sent" or sent_facts(event.detail) is not None


def _sent(bundle: Bundle, sent: SentPart) -> Findings:
    event = _event_of(bundle, sent.event, "entry.sent")
    known = sent_facts(event.detail) if event is not None else None
    if event is None or known is None or event.uid != bundle.id:
        yield broken(f"delivery of event {sent.event}: there is no such event", f"发送事件{sent.event}不存在")
        return
    shown = {"sha256": sent.sha256, "envelope": sent.envelope_sha256, "span": sent.span}
    recorded = {"sha256": known.sha256, "envelope": known.envelope, "span": known.span}
    yield from differences(f"the delivery to {known.destination}", "发送事件", shown, recorded)
    yield from _business(bundle, sent, known)
    yield from _envelope(sent, known)
    yield unproven(
        f"that {known.destination} received it is said by the confirmation of its transport ({known.by}), not proven",
        f"{known.destination}是否收到，仅有传输层（{known.by}）的确认，未经证明",
    )


def _business(bundle: Bundle, sent: SentPart, known: SentFacts) -> Findings:
    """Check that the sent bytes are the submitted ones, apart from the inserted signature."""
    body, where = bundle.accepted.body, f"what was sent to {known.destination}"
    if known.span is None and known.sha256 == bundle.accepted.sha256:
        yield proven(
            f"{where} is byte for byte what was handed in",
            f"发往{known.destination}的内容与接收原文逐字节一致",
        )
    elif known.span is None and body is not None:
        yield _carried(body, known)
    elif body is None or sent.signature is None or known.span is None:
        yield unproven(
            f"{where}: its bytes are not in this file, only their digest: sha256 {known.sha256}",
            f"本文件不含发往{known.destination}的内容，仅有摘要：sha256 {known.sha256}",
        )
    else:
        start, end = known.span
        whole = body[:start] + sent.signature + body[start:]
        if end - start == len(sent.signature) and _digest(whole) == known.sha256:
            yield proven(
                f"cutting bytes {start}–{end} out of {where} gives back exactly what was handed in,"
                f" sha256 {bundle.accepted.sha256}",
                f"从发往{known.destination}的内容中去掉第{start}–{end}字节（签名），即得到接收原文，"
                f"sha256 {bundle.accepted.sha256}",
            )
        else:
            yield broken(
                f"{where}: the accepted bytes with the signature at {start}–{end} have another digest",
                f"接收原文在第{start}–{end}字节插入签名后，摘要与发送记录不符",
            )


def _carried(body: bytes, known: SentFacts) -> EvidenceFinding:
    try:
        if _digest(unwrap(body).business) == known.sha256:
            return proven(
                f"the declaration in the DxpMsg handed in is byte for byte what was sent to {known.destination}",
                f"所接收DxpMsg内的业务报文与发往{known.destination}的逐字节一致",
            )
    except EnvelopeError:
        pass
    return unproven(
        f"what was sent to {known.destination} is not what was handed in: the node made it itself",
        f"发往{known.destination}的内容由节点生成，并非接收原文",
    )


def _envelope(sent: SentPart, known: SentFacts) -> Findings:
    if sent.envelope is None:
        yield unproven(
            f"the envelope is not in this file, only its digest: sha256 {known.envelope}",
            f"本文件不含信封，仅有摘要：sha256 {known.envelope}",
        )
        return
    if _digest(sent.envelope) != known.envelope:
        yield broken(
            f"the envelope to {known.destination} was altered", f"发往{known.destination}的信封被改动"
        )
        return
    try:
        inside = _digest(unwrap_collected(sent.envelope).business)
    except EnvelopeError:
        inside = _digest(sent.envelope.removeprefix(b"\0"))  # a DxpRep is itself the business document
    if inside == known.sha256:
        yield proven(
            f"the envelope to {known.destination} carries just these bytes, sha256 {known.sha256}",
            f"发往{known.destination}的信封内正是上述内容，sha256 {known.sha256}",
        )
    else:
        yield broken("the envelope carries something else", "信封内的内容与发送记录不符")


def _receipt(bundle: Bundle, receipt: ReceiptPart) -> Findings:
    event = _event_of(bundle, receipt.event, "receipt.filed")
    if event is None:
        yield broken(
            f"receipt {receipt.receipt}: there is no such event", f"回执{receipt.receipt}没有对应事件"
        )
        return
    detail = _detail(event)
    said = {"receipt": receipt.receipt, "sha256": receipt.sha256, "owner": bundle.owner}
    yield from differences(f"receipt {receipt.receipt}", f"回执{receipt.receipt}", said, detail)
    if receipt.body is None:
        others = receipt.part is not None
        yield unproven(
            f"receipt {receipt.receipt}: the whole is not in this file"
            f"{', for others are named in it; no digest covers the part that is' if others else ''}: sha256 {receipt.sha256}",
            f"回执{receipt.receipt}的完整原文不在本文件中{'（含其他企业信息，所附部分无摘要证明）' if others else ''}："
            f"sha256 {receipt.sha256}",
        )
    elif _digest(receipt.body) == receipt.sha256:
        yield proven(
            f"receipt {receipt.receipt} ({detail.get('type')}) is what came, byte for byte, and was found to be about"
            " this enterprise",
            f"回执{receipt.receipt}（{detail.get('type')}）与收到的原文逐字节一致，并已匹配到该企业",
        )
    else:
        yield broken(
            f"receipt {receipt.receipt} was altered or swapped", f"回执{receipt.receipt}被改动或调换"
        )


def _open(bundle: Bundle) -> Findings:
    if bundle.unsealed:
        yield unproven(
            f"{bundle.unsealed} later events were not in the log yet and are not in this file",
            f"另有{bundle.unsealed}个事件尚未进入日志，不在本文件中",
        )
    yield unproven(
        "that no other event is about this message is said by whoever exported the file",
        "不存在与本报文有关的其他事件，仅为导出方声明",
    )
    yield unproven(
        "times are those of the node's clock; who handed the message in, and who answered, is what the node saw",
        "时间取自节点时钟；由谁提交、由谁答复，以节点所见为准",
    )
    yield unproven(
        "that everybody is shown the same log: compare the checkpoint with one that somebody else has kept",
        "各方看到的是否为同一日志：请与他人保存的检查点比对",
    )


def _event_of(bundle: Bundle, number: int, name: str) -> EventPart | None:
    return next((one for one in bundle.events if (one.number, one.event) == (number, name)), None)


def _detail(event: EventPart) -> dict[str, object]:
    try:
        found = json.loads(event.detail)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _hashes(proof: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(step) for step in proof]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
