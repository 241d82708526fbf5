"""Repeats a translation from what was recorded of it: the journal's origin, the mapping's texts, the source.

Everything that is read here may be hostile, and what is made of it may take long: whoever calls bounds time and memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.errors import GatewayError, Refused, RulesError
from gateway.goods.form import read_goods
from gateway.goods.register import GoodsOfDay
from gateway.mapping.sources.table import Form, SourceLimits
from gateway.mapping.translated import Translated
from gateway.mapping.translation import Body, Source, Translation, open_translation
from gateway.provenance.mapping_record import MappingRecord
from gateway.rules.loading import Rules

BODIES_AT_MOST: Final = 10_000
"""Most declarations of one message that are made again; the schemas take 100."""
_LIMITS: Final = SourceLimits(document_bytes=64 * 1024 * 1024, elements=2_000_000)
"""More than any door takes: what was taken can be read again."""


class RecordedGoods(Struct, frozen=True, kw_only=True):
    """The register that a mapping looked things up in, as handed in."""

    body: bytes
    form: str
    """Media type, with its charset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTranslation:
    """All that a translation depends on."""

    origin: Mapping[str, str]
    """As in the journal line of the acceptance."""
    record: MappingRecord
    source: bytes | BinaryIO
    goods: RecordedGoods | None = None


class RepeatedTranslation(Struct, frozen=True, kw_only=True):
    """What a translation makes."""

    document: bytes
    trace: tuple[str, ...]
    """A line for each field of the document, in its order: XPath, place in the source, function, with tabs between.

    Without a place the text is the mapping's own. No line says a value.
    """
    unconsumed: tuple[str, ...]
    """Columns or paths of the source that no rule of the mapping reads."""


class NotRepeated(Struct, frozen=True, kw_only=True):
    """Why a translation could not be repeated."""

    reason: str
    reason_zh: str
    other: bool = False
    """It may be that schemas or tables are not those of then, or that it takes too much; else the records are wrong."""


def repeated(asked: RecordedTranslation, rules: Rules) -> RepeatedTranslation | NotRepeated:
    """Repeat a translation. `rules`: any edition; raises RulesError when that of the origin is not among them."""
    origin = asked.origin
    rules = rules.for_edition(origin.get("edition", ""))
    try:
        mapping = asked.record.compiled(origin.get("mapping", ""), rules)
    except RulesError as error:
        return NotRepeated(reason=str(error), reason_zh=str(error), other=True)
    try:
        if mapping.sha256 != origin.get("mapping_sha256"):
            return _other_tables(asked.record.tables, mapping.tables)
        source = Source(
            content=asked.source,
            form=Form(origin.get("source_form", "")),
            charset=origin.get("source_charset", ""),
            delimiter=origin.get("source_delimiter", ""),
            app_time=origin.get("app_time", ""),
        )
        with open_translation(mapping, source, _goods(asked), limits=_LIMITS) as translation:
            made = _made(translation, origin.get("bodies", ""))
            trace = [f"{one.target}\t{one.source}\t{one.function}" for one in made.steps()]
            unconsumed = tuple(translation.unconsumed)
    except Refused as refused:
        first = refused.faults[0]
        return NotRepeated(
            reason=first.message, reason_zh=first.message_zh, other=refused.problem == "too-large"
        )
    except (GatewayError, ValueError, RecursionError) as error:
        return NotRepeated(reason=str(error), reason_zh=str(error))
    return RepeatedTranslation(document=made.document, trace=tuple(trace), unconsumed=unconsumed)


def _other_tables(then: Mapping[str, str], now: Mapping[str, str]) -> NotRepeated:
    names = ", ".join(sorted(name for name in {*then, *now} if then.get(name) != now.get(name)))
    return NotRepeated(
        reason=f"the code tables that it looks into are not those of this version: {names}",
        reason_zh=f"映射所查的代码表与本版本不同：{names}",
        other=True,
    )


def _made(translation: Translation, ordinals: str) -> Translated:
    """Make the document of some bodies, or of all of the source. Raises Refused and ValueError."""
    if not ordinals:
        return translation.whole()
    wanted = _numbers(ordinals)
    among, found = frozenset(wanted), list[Body]()
    for body in translation.bodies(wanted[0]):
        if body.ordinal in among:
            found.append(body)
        if body.ordinal >= wanted[-1]:
            break
    if len(found) != len(wanted):
        raise ValueError(f"the source has no declaration {wanted[len(found)]}")
    return translation.message(found)


def _numbers(ordinals: str) -> Sequence[int]:
    """Read ascending ordinals, `0-57,59-99`. Raises ValueError."""
    numbers: list[int] = []
    for first, last in _spans(ordinals):
        if last < first or (numbers and first <= numbers[-1]) or last - first >= BODIES_AT_MOST:
            raise ValueError(f"{ordinals[:100]} are no ascending numbers of declarations")
        numbers += range(first, last + 1)
        if len(numbers) > BODIES_AT_MOST:
            raise ValueError(f"a message has at most {BODIES_AT_MOST} declarations")
    return numbers


def _spans(ordinals: str) -> Iterator[tuple[int, int]]:
    for span in ordinals.split(","):
        first, _, last = span.partition("-")
        yield int(first), int(last or first)


def _goods(asked: RecordedTranslation) -> GoodsOfDay | None:
    """Return the goods as they were looked into. Raises Refused."""
    goods = asked.goods
    if goods is None:
        return None
    form, _, charset = goods.form.partition("; charset=")
    register = read_goods(goods.body, form, charset)
    version = int(asked.origin.get("goods_version", "0"))
    return GoodsOfDay(replace(register, version=version), asked.origin.get("goods_day", ""))
