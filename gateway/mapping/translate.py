"""Translate bytes of a platform to one CEB document, by one mapping. Pure: no I/O, clock or randomness."""

from gateway.config.gateway_toml import LimitsConfig
from gateway.errors import Refused
from gateway.mapping.language import SourceKind, SourceMapping
from gateway.mapping.registered import RegisteredGoods
from gateway.mapping.sources.table import Form, SourceLimits
from gateway.mapping.translated import Translated
from gateway.mapping.translation import Source, open_translation
from gateway.rules.texts import fault_of


def translate(
    body: bytes,
    mapping: SourceMapping,
    limits: LimitsConfig,
    *,
    form: Form | None = None,
    charset: str = "",
    app_time: str = "",
    goods: RegisteredGoods | None = None,
) -> Translated:
    """Make one document from a source; `goods`: what the mapping may look up. Raises Refused.

    `form`: how it is written; None: as the mapping's kind of source usually is. `app_time`: 14 digits, what the request gives.

    `too-large`, `wrong-encoding`, `not-json`, `not-csv`, `not-xlsx`: the source cannot be read. What can be read but not
    written, for example too many declarations, is in `faults`.
    """
    if len(body) > limits.size_bytes:
        raise Refused("too-large", [fault_of("source.size", {"size": len(body), "limit": limits.size_bytes})])
    source = Source(content=body, form=form or usual_form(mapping), charset=charset, app_time=app_time)
    return open_translation(mapping, source, goods, limits=source_limits(limits)).whole()


def usual_form(mapping: SourceMapping) -> Form:
    """Return the form that is meant where none is named."""
    return Form.JSON if mapping.source is SourceKind.JSON else Form.CSV


def source_limits(limits: LimitsConfig) -> SourceLimits:
    """Return what a source may have that becomes one message."""
    return SourceLimits(
        size_bytes=limits.size_bytes,
        document_bytes=limits.size_bytes,
        depth=limits.depth,
        elements=limits.elements,
        inflated_bytes=8 * limits.size_bytes,
    )
