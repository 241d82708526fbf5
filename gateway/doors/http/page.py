"""The API contract for people (`/docs`): one page made from the table of operations, without external resources."""

import html
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final

from gateway.doors.http.openapi import ABOUT, TITLE, document, example
from gateway.doors.http.operations import (
    OPERATIONS,
    PROBLEM_HEADERS,
    HeaderSpec,
    Operation,
    Parameter,
    problems_of,
)
from gateway.problems import PROBLEMS

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1d2733}"
    "code{background:#eef2f6;padding:.1em .3em;border-radius:.2em}"
    "pre{background:#eef2f6;padding:.8em;overflow:auto}pre code{padding:0}"
    "table{border-collapse:collapse;width:100%;margin:.6em 0}"
    "td,th{text-align:left;border-bottom:1px solid #d6dde4;padding:.3em .6em;vertical-align:top}"
    "h2{margin-top:2.5rem}h3{margin-top:2rem;font-size:1.1rem}b.m{color:#0b5394;text-transform:uppercase}"
)
PAGE_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'none'; style-src 'sha256-"
        + b64encode(sha256(_STYLE.encode()).digest()).decode()
        + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
    }
)
"""Only this one style is loaded, no script runs, and the page cannot be framed."""
_CURL: Final = """\
curl -i -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/xml' \\
     --data-binary @payment.xml $URL/v1/messages"""


@cache
def page() -> str:
    """Return the page: every operation with its parameters and answers, every view, every problem."""
    parts = []
    for tag in dict.fromkeys(one.tag for one in OPERATIONS):
        parts.append(f"<h2>{tag}</h2>")
        parts += [_section(one) for one in OPERATIONS if one.tag == tag]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{TITLE}</title><style>{_STYLE}</style><h1>{TITLE}</h1><p>{_text(ABOUT)}</p>"
        "<p>For machines: <a href=/openapi.json>openapi.json</a>, OpenAPI 3.1. Requests carry"
        f" <code>Authorization: Bearer TOKEN</code>, or a signature (<code>X-Gateway-Signature</code>), or come over TLS"
        f" with a client certificate.</p>{_contents()}"
        f"<h2>A message to begin with</h2><pre><code>{html.escape(_CURL)}</code></pre>"
        f"<pre><code>{html.escape(example().decode())}</code></pre>"
        f"{''.join(parts)}<h2>Views</h2>{''.join(_views())}{_problems()}</html>"
    )


def _contents() -> str:
    rows = "".join(
        f"<tr><td><a href=#{one.id}><b class=m>{one.method}</b> <code>{html.escape(one.path)}</code></a>"
        f"<td>{html.escape(one.summary)}"
        for one in OPERATIONS
    )
    return f"<table>{rows}</table>"


def _section(one: Operation) -> str:
    rows = [_parameter_row(parameter) for parameter in one.parameters]
    if one.body:
        named = " or ".join(f"<code>{form}</code>" for form in one.body)
        holds = f", {_view(one.body_view)}" if one.body_view else ""
        rows.append(f"<tr><td>body<td>{named}{holds}")
    return (
        f"<h3 id={one.id}><b class=m>{one.method}</b> <code>{html.escape(one.path)}</code>"
        f" {html.escape(one.summary)}</h3><p>{_text(one.detail)}{_who(one)}</p>"
        + (f"<table><tr><th>asked<th>means{''.join(rows)}</table>" if rows else "")
        + f"<table><tr><th>answer<th>means{''.join(_answer_rows(one))}</table>"
    )


def _who(one: Operation) -> str:
    return {"token": "", "metrics": " Perhaps with a token.", "": " Without a token."}[one.security]


def _parameter_row(one: Parameter) -> str:
    needed = ", required" if one.required else ""
    for_instance = f", for instance <code>{html.escape(str(one.example))}</code>" if one.example else ""
    return (
        f"<tr><td><code>{one.name}</code> ({one.place}{needed})"
        f"<td>{_text(one.description)}; {_bounds(one.schema)}{for_instance}"
    )


def _bounds(schema: Any) -> str:
    words = {
        "minimum": "at least", "maximum": "at most", "minLength": "characters, at least",
        "maxLength": "characters, at most", "pattern": "form", "default": "if not given",
    }  # fmt: skip
    told = [
        f"{text} <code>{html.escape(_json(schema[key]))}</code>"
        for key, text in words.items()
        if key in schema
    ]
    return ", ".join([schema["type"], *told])


def _json(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _answer_rows(one: Operation) -> Iterator[str]:
    for status, reply in one.replies.items():
        holds = _view(reply.view) if reply.view else f"<code>{reply.media_type}</code>"
        yield f"<tr><td>{status}<td>{_text(reply.says)}: {holds}{_headers(reply.headers)}"
    for status, codes in problems_of(one).items():
        named = ", ".join(f"<a href=#{code}><code>{code}</code></a>" for code in codes)
        own = {PROBLEM_HEADERS[code].name: PROBLEM_HEADERS[code] for code in codes if code in PROBLEM_HEADERS}
        yield f"<tr><td>{status}<td>{named}{_headers(tuple(own.values()))}"


def _headers(headers: tuple[HeaderSpec, ...]) -> str:
    return "".join(f"<br>header <code>{one.name}</code>: {_text(one.description)}" for one in headers)


def _views() -> Iterator[str]:
    for name, schema in document()["components"]["schemas"].items():
        rows = "".join(
            f"<tr><td><code>{field}</code><td>{_kind(told)}<td>{_text(told.get('description', ''))}"
            for field, told in schema.get("properties", {}).items()
        )
        yield (
            f"<h3 id={name}>{name}</h3><p>{_text(schema.get('description', ''))}</p>"
            f"<table><tr><th>field<th>type<th>means{rows}</table>"
        )


def _kind(schema: Any) -> str:
    match schema:
        case {"$ref": str(reference)}:
            return _link(reference.rpartition("/")[2])
        case {"enum": values} if len(values) < 10:  # noqa: PLR2004 (what a reader takes in at once)
            return " ".join(f"<code>{html.escape(str(value))}</code>" for value in values)
        case {"anyOf": choices}:
            return " or ".join(_kind(choice) for choice in choices)
        case {"type": "array", "items": items}:
            return f"list of {_kind(items)}"
        case {"type": "object", "additionalProperties": values}:
            return f"map to {_kind(values)}"
        case _:
            return str(schema.get("format") or schema.get("type", "any"))


def _view(view: type) -> str:
    return _link(view.__name__)


def _link(name: str) -> str:
    return f"<a href=#{name}>{name}</a>"


def _problems() -> str:
    rows = "".join(
        f"<tr id={code}><td><code>{code}</code><td>{int(problem.status)}<td>{html.escape(problem.title)}"
        f"<td>{problem.title_zh}"
        for code, problem in sorted(PROBLEMS.items())
    )
    return f"<h2>Problems</h2><table><tr><th>code<th>status<th>meaning<th>含义{rows}</table>"


def _text(text: str) -> str:
    """Write a text as HTML, with `code` in it."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))
