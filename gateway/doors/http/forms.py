"""Form of a body: a message as it is, or JSON or a table to be translated by `?mapping=`."""

from dataclasses import dataclass
from typing import Final

from gateway.doors.http.query_parameters import in_query, time_given
from gateway.doors.http.services import HttpServices, ProblemError
from gateway.mapping.language import SourceMapping
from gateway.mapping.sources.item import shortened
from gateway.mapping.sources.table import MEDIA, Form
from gateway.mapping.translate import usual_form
from gateway.mapping.translation import FORMS
from gateway.model import Fault

_FORMS: Final = {media: form for form, media in MEDIA.items()}
_UNSAID: Final = frozenset({"", "application/octet-stream"})
"""A client that names no media type means the one of the mapping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyForm:
    """How a body is translated."""

    mapping: SourceMapping
    form: Form
    charset: str
    app_time: str
    """YYYYMMDDhhmmss; empty: not given."""


def form_of(content_type: str, query: str, services: HttpServices) -> BodyForm | None:
    """Say how a body is translated; None when no mapping is asked for. Raises Problem."""
    name = in_query(query, "mapping")
    if not name:
        return None
    mapping = services.mappings.get(name)
    if mapping is None:
        raise ProblemError("unknown-mapping", _unknown(shortened(name)))
    media = media_type(content_type)
    form = usual_form(mapping) if media in _UNSAID else _FORMS.get(media)
    if form not in FORMS[mapping.source]:
        raise ProblemError("unsupported-media-type", _other_form(mapping))
    return BodyForm(
        mapping=mapping,
        form=form,
        charset=charset_of(content_type),
        app_time=time_given("app_time", in_query(query, "app_time")),
    )


def media_type(content_type: str) -> str:
    """Return the media type without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def needs_mapping(content_type: str) -> tuple[Fault, ...]:
    """Return the fault of JSON or a table without a mapping."""
    if media_type(content_type) not in _FORMS:
        return ()
    return (
        Fault(
            rule="mapping_missing",
            message="JSON and tables have to be translated, and no mapping is named",
            message_zh="JSON和表格须指定映射才能转换",
            fix="ask with ?mapping=NAME; whoever runs the gateway knows the names",
            fix_zh="请使用?mapping=NAME指定映射；映射名称请向网关运营方查询",
        ),
    )


def charset_of(content_type: str) -> str:
    """Return the charset that a media type names; empty: none."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"')
    return ""


def _unknown(name: str) -> Fault:
    return Fault(
        rule="unknown_mapping",
        value=name,
        message=f"there is no mapping {name} at this gateway",
        message_zh=f"本网关没有名为{name}的映射",
        fix="whoever runs the gateway knows the names",
        fix_zh="映射名称请向网关运营方查询",
    )


def _other_form(mapping: SourceMapping) -> Fault:
    media = " or ".join(MEDIA[form] for form in FORMS[mapping.source])
    media_zh = "、".join(MEDIA[form] for form in FORMS[mapping.source])
    return Fault(
        rule="other_form",
        message=f"the mapping {mapping.name} reads {media}",
        message_zh=f"映射{mapping.name}只接受{media_zh}",
        fix=f"send Content-Type: {media}",
        fix_zh=f"请发送Content-Type: {media_zh}",
    )
