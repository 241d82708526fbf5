"""Verifies how a message was made: repeats the translation with what the file has, and compares what it makes.

Pure but for the source, when it is a file, and the schemas of the package. The file may be hostile: whoever verifies files
of others hands in a `Repeat` that is bounded in time and memory.
"""

import hashlib
from collections.abc import Callable
from itertools import zip_longest
from typing import BinaryIO, Final

from gateway.evidence.bundle import Bundle, EventPart, TranslationPart
from gateway.evidence.findings import EvidenceFinding, Findings, broken, differences, proven, unproven
from gateway.evidence.kept_translation import origin_of
from gateway.provenance.mapping_record import USED, MappingRecord, mapping_record, mapping_uid
from gateway.provenance.repeat import NotRepeated, RecordedGoods, RecordedTranslation, RepeatedTranslation
from gateway.version import gateway_version

Repeat = Callable[[RecordedTranslation], RepeatedTranslation | NotRepeated]
_PIECE_BYTES: Final = 1024 * 1024
_NAMED: Final = 20
"""Most input fields that one sentence names."""


def translation_findings(
    bundle: Bundle, accepted: EventPart, repeat: Repeat, source: BinaryIO | None
) -> Findings:
    """Say what holds of the translation of the message. `accepted`: the event of its acceptance."""
    origin, part = origin_of(accepted.detail), bundle.translation
    if "mapping_sha256" in origin:
        yield _recorded(origin)
    if part is None:
        if "mapping_sha256" in origin:
            yield unproven(
                "source, mapping and trace of that translation are not in this file",
                "本文件不含该转换的源数据、映射和轨迹",
            )
        return
    shown = {name: part.origin.get(name) for name in sorted({*origin, *part.origin})}
    yield from differences("the translation", "转换", shown, origin)
    pieces = _Pieces(bundle, part, origin)
    yield from pieces.checked(source)
    asked = pieces.asked
    if asked is not None:
        yield from _compared(bundle, part, origin, repeat(asked))
    elif part.traced:
        yield unproven(
            f"the trace of {len(part.trace)} fields, and the {len(part.unconsumed)} input fields that it says no rule"
            " reads, are only said by whoever exported the file",
            f"{len(part.trace)}个字段的转换轨迹及{len(part.unconsumed)}个未使用的输入字段，仅为导出方声明",
        )


def _recorded(origin: dict[str, str]) -> EvidenceFinding:
    name, by, source = (origin.get(key) for key in ("mapping", "mapping_sha256", "source_sha256"))
    return proven(
        f"the node recorded that it made the message by the mapping {name} (sha256 {by}) of a source with sha256 {source}",
        f"节点记录：该报文由映射{name}（sha256 {by}）从源数据（sha256 {source}）转换而成",
    )


class _Pieces:
    """What the translation needs, each compared with its digest in the log."""

    def __init__(self, bundle: Bundle, part: TranslationPart, origin: dict[str, str]) -> None:
        self._bundle = bundle
        self._part = part
        self._origin = origin
        self.asked: RecordedTranslation | None = None
        """Set when all is there and sound."""
        self._record: MappingRecord | None = None
        self._source: bytes | BinaryIO | None = None

    def checked(self, given: BinaryIO | None) -> Findings:
        """Compare everything, and say what is not there or not sound."""
        yield from self._mapping()
        yield from self._sourced(given)
        goods: RecordedGoods | None = None
        if "goods_sha256" in self._origin:
            if self._part.goods is None:
                yield unproven(
                    "the goods that the mapping looked into are not in this file, only their digest: sha256"
                    f" {self._origin['goods_sha256']}",
                    f"本文件不含映射所查的商品备案表，仅有摘要：sha256 {self._origin['goods_sha256']}",
                )
                return
            if _digest(self._part.goods) != self._origin["goods_sha256"]:
                yield broken(
                    "the goods that the mapping looked into were altered or swapped: their digest is another",
                    "映射所查的商品备案表被改动或调换：摘要不符",
                )
                return
            goods = RecordedGoods(body=self._part.goods, form=self._part.goods_form)
        if self._record is not None and self._source is not None:
            self.asked = RecordedTranslation(
                origin=self._origin, record=self._record, source=self._source, goods=goods
            )

    def _mapping(self) -> Findings:
        uid = mapping_uid(self._origin.get("mapping_sha256", ""))
        line = next((one for one in self._bundle.events if one.number == self._part.event), None)
        if line is None:
            yield unproven("the texts of the mapping are not in this file", "本文件不含映射的文本")
            return
        if (line.event, line.uid) != (USED, uid):
            yield broken(
                "the mapping in this file is not the one that the message was made by",
                "本文件中的映射并非转换该报文所用的映射",
            )
            return
        try:
            record = mapping_record(line.detail)
        except ValueError:
            yield broken("the record of the mapping cannot be read", "无法读取映射记录")
            return
        sound = True
        if not record.mapping.is_whole:
            sound = False
            yield broken(
                "the text of the mapping was altered: its digest is another", "映射的文本被改动：摘要不符"
            )
        for name, text in record.files.items():
            if not text.is_whole:
                sound = False
                yield broken(
                    f"the table {name} beside the mapping was altered: its digest is another",
                    f"映射旁的表{name}被改动：摘要不符",
                )
        if sound and record.sha256 != self._origin.get("mapping_sha256"):
            sound = False
            yield broken(
                "the mapping and the tables that it looks into have another digest than the log says",
                "映射及其所查的表的摘要与日志记录不符",
            )
        if sound:
            self._record = record

    def _sourced(self, given: BinaryIO | None) -> Findings:
        source, part = given or self._part.source, self._part
        if source is None:
            yield unproven(
                f"the source is not in this file, only its digest: sha256 {self._origin.get('source_sha256')};"
                " with the source (--source) the translation can be repeated",
                f"本文件不含源数据，仅有摘要：sha256 {self._origin.get('source_sha256')}；"
                "提供源数据（--source）即可重复转换",
            )
            return
        if _digest(source) == self._origin.get("source_sha256"):
            self._source = source
        elif given is not None:
            yield broken(
                "the source that was given is not the one that was handed in: its digest is another",
                "所提供的源数据并非当时提交的源数据：摘要不符",
            )
        else:
            swapped = len(part.source or b"") != part.size
            yield broken(
                "the source was swapped: it has another size and digest"
                if swapped
                else "the source was altered: its digest is another",
                "源数据被调换：大小和摘要不符" if swapped else "源数据被改动：摘要不符",
            )


def _compared(
    bundle: Bundle,
    part: TranslationPart,
    origin: dict[str, str],
    made: RepeatedTranslation | NotRepeated,
) -> Findings:
    """Compare what the translation makes with the document, the trace and the list in the file."""
    other = _other_version(origin)
    if isinstance(made, NotRepeated):
        say = unproven if other or made.other else broken
        yield say(
            f"the translation could not be repeated{other}: {made.reason}",
            f"无法重复转换：{made.reason_zh}",
        )
        return
    same = hashlib.sha256(made.document).hexdigest() == bundle.accepted.sha256
    if not same:
        yield from _different(bundle, made, other)
        return
    yield proven(
        f"the {len(made.document)} bytes that were accepted are what the mapping makes of this source, byte for byte:"
        f" {len(made.trace)} fields",
        f"接收的{len(made.document)}字节正是该映射由源数据转换所得，逐字节一致：共{len(made.trace)}个字段",
    )
    yield _unused(made.unconsumed)
    body = bundle.accepted.body
    if body is not None and body != made.document:
        yield broken(
            f"the bytes in this file are not those that the mapping makes, from byte {_first(body, made.document)} on",
            f"本文件中的报文自第{_first(body, made.document)}字节起与映射转换所得不符",
        )
    if part.traced:
        yield from _traced(part, made, other)
    else:
        yield unproven("the trace is not in this file", "本文件不含转换轨迹")


def _different(bundle: Bundle, made: RepeatedTranslation, other: str) -> Findings:
    body = bundle.accepted.body
    where = "" if body is None else f", from byte {_first(body, made.document)} on"
    where_zh = "" if body is None else f"自第{_first(body, made.document)}字节起"
    if other:
        yield unproven(
            f"the mapping makes other bytes of this source{other}{where}",
            f"由另一版本的网关转换，本版本所得报文{where_zh}不同",
        )
    else:
        yield broken(
            f"the mapping makes other bytes of this source than were accepted{where}",
            f"映射由该源数据转换所得的报文{where_zh}与接收的不符",
        )


def _traced(part: TranslationPart, made: RepeatedTranslation, other: str) -> Findings:
    say = unproven if other else broken
    for number, (told, line) in enumerate(zip_longest(part.trace, made.trace), 1):
        if told != line:
            field = (line or told or "").partition("\t")[0]
            yield say(
                f"line {number} of the trace is not what the translation does: {field}{other}",
                f"转换轨迹第{number}行与实际转换不符：{field}",
            )
            break
    if part.unconsumed != made.unconsumed:
        yield say(
            f"the list of input fields that no rule reads is not that of the translation{other}",
            "未使用的输入字段清单与实际转换不符",
        )


def _unused(names: tuple[str, ...]) -> EvidenceFinding:
    if not names:
        return proven("every input field was used", "所有输入字段均已使用")
    told = ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
    return proven(f"{len(names)} input fields were not used: {told}", f"{len(names)}个输入字段未使用：{told}")


def _other_version(origin: dict[str, str]) -> str:
    """Return what to add about the version when the message was made by another."""
    then, now = origin.get("gateway", ""), gateway_version()
    return "" if then == now else f" (made by version {then or 'unknown'}, repeated by {now or 'unknown'})"


def _first(one: bytes, other: bytes) -> int:
    """Return the position of the first byte that differs, from 0."""
    return next(
        (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )


def _digest(content: bytes | BinaryIO) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    digest = hashlib.sha256()
    content.seek(0)
    while part := content.read(_PIECE_BYTES):
        digest.update(part)
    content.seek(0)
    return digest.hexdigest()
