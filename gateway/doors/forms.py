"""What form a body has: a message as it is, or JSON or CSV that `?mapping=` says how to translate."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl

from gateway.config import Limits
from gateway.doors.counter import Counter, Problem
from gateway.errors import Refused
from gateway.mapping.language import SourceKind, SourceMapping
from gateway.mapping.source import printable
from gateway.mapping.translate import Translated, translate
from gateway.model import Fault, Message
from gateway.pipeline import Refusal
from gateway.roles.accept import Outcome

_MEDIA: Final = {SourceKind.JSON: "application/json", SourceKind.CSV: "text/csv"}
AT_ONCE_BYTES: Final = 16 * 1024
"""Sources up to this take some milliseconds."""
_UNSAID: Final = frozenset({"", "application/octet-stream"})
"""A client that names no form means that of the mapping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a body is translated."""

    mapping: SourceMapping
    charset: str

    def translate(self, source: bytes, limits: Limits) -> Translated | Refusal:
        """Make the document of a source; never raises Refused."""
        try:
            return translate(source, self.mapping, limits, charset=self.charset)
        except Refused as refused:
            return Refusal(problem=refused.problem, faults=refused.faults)


Made = Translated | Refusal | BaseException
"""What becomes of a source; an exception is a defect."""


class Translator:
    """Translates for one event loop: what takes long, one after the other in a thread of its own.

    Translating is pure and takes a second for the largest source that is allowed; meanwhile the loop goes on to
    accept. Usual sources take less than handing them to a thread is worth.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="translate")

    def translate(self, form: Form, source: bytes, told: Callable[[Made], None]) -> None:
        """Call `told` with the outcome in the thread of the loop: before this returns, or later."""
        if len(source) <= AT_ONCE_BYTES:
            told(form.translate(source, self._limits))
            return
        loop = asyncio.get_running_loop()
        later = loop.run_in_executor(self._thread, form.translate, source, self._limits)
        later.add_done_callback(
            lambda done: None if done.cancelled() else told(done.exception() or done.result())
        )


def form_of(content_type: str, query: str, counter: Counter) -> Form | None:
    """Say how a body is translated; None when no mapping is asked for. Raises Problem."""
    name = last_of(query, "mapping")
    if not name:
        return None
    mapping = counter.mappings.get(name)
    if mapping is None:
        raise Problem("unknown-mapping", _unknown(printable(name)))
    media = media_type(content_type)
    if media not in _UNSAID and media != _MEDIA[mapping.source]:
        raise Problem("unsupported-media-type", _other_form(mapping))
    return Form(mapping=mapping, charset=_charset(content_type))


def explained(made: Translated, verdict: Message | Refusal) -> Refusal:
    """Refuse what could not be written whole, with what else is wrong with the document."""
    known = isinstance(verdict, Refusal) and verdict.problem == "invalid-message"
    faults = verdict.faults if known and isinstance(verdict, Refusal) else ()
    return Refusal(problem="untranslatable", faults=made.located(faults))


def told_of_source(outcome: Outcome | Exception, made: Translated) -> Outcome | Exception:
    """Let the faults of a refused document say where in the source they come from."""
    if not isinstance(outcome, Refusal):
        return outcome
    return replace(outcome, faults=made.located(outcome.faults))


def media_type(content_type: str) -> str:
    """Give the type alone, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def needs_mapping(content_type: str) -> tuple[Fault, ...]:
    """Say what is missing where JSON or CSV comes alone."""
    if media_type(content_type) not in _MEDIA.values():
        return ()
    return (
        Fault(
            rule="mapping_missing",
            message="JSON and CSV have to be translated, and no mapping is named",
            message_zh="JSON和CSV须指定映射才能转换",
            fix="ask with ?mapping=NAME; whoever runs the gateway knows the names",
        ),
    )


def last_of(query: str, name: str) -> str:
    """Give the value of a parameter, the last if it stands twice; empty when it is not there."""
    return dict(parse_qsl(query, keep_blank_values=True)).get(name, "")


def _charset(content_type: str) -> str:
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
        fix="whoever runs the gateway knows the names: `gateway check` lists them",
    )


def _other_form(mapping: SourceMapping) -> Fault:
    media = _MEDIA[mapping.source]
    return Fault(
        rule="other_form",
        message=f"the mapping {mapping.name} reads {media}",
        message_zh=f"映射{mapping.name}只接受{media}",
        fix=f"send Content-Type: {media}",
    )
