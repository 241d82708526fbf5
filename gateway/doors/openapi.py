"""The OpenAPI 3.1 document and the page for people, made from the typed views and the table of problems."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import msgspec

from gateway.doors import views
from gateway.doors.request_signature import WINDOW_S
from gateway.problems import MEDIA_TYPE, PROBLEMS

_REF: Final = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A query or path parameter."""

    name: str
    place: str
    description: str
    kind: str = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing the API does."""

    method: str
    path: str
    summary: str
    detail: str
    answers: Mapping[int, tuple[str, type | None]]
    """Status → what it says, and the view it carries (None: raw bytes)."""
    problems: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: str = ""
    """Media type of the request body; empty: none."""
    other_bodies: tuple[str, ...] = ()
    """Media types that it may have too."""
    secured: bool = True
    media_type: str = "application/octet-stream"
    """Of answers without a view."""


_CALLER: Final = ("unauthorised", "not-your-identity", "quota-exceeded", "unavailable")
"""What may be wrong with whoever asks, whatever for."""
_ID = Parameter(name="id", place="path", description="Id of the message, as the submission answered")
OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        method="post",
        path="/v1/messages",
        summary="Hand in a message",
        detail="The body is a CEB document or a DxpMsg, byte for byte; or JSON or CSV that `mapping` translates to a CEB"
        " document, which is then what is kept and answered for. The answer comes after the fsync.",
        answers={
            202: ("It is in the spool, on disk", views.AcceptedView),
            200: ("The same bytes were accepted before: the first answer", views.AcceptedView),
        },
        problems=(
            "bad-request",
            "unauthorised",
            "not-your-identity",
            "conflicting-version",
            "cop-msg-id-taken",
            "too-large",
            "unsupported-media-type",
            "unknown-mapping",
            "not-json",
            "not-csv",
            "untranslatable",
            "not-xml",
            "unsafe-xml",
            "wrong-encoding",
            "unknown-message",
            "invalid-envelope",
            "invalid-message",
            "invalid-signature",
            "no-route",
            "quota-exceeded",
            "unavailable",
        ),
        parameters=(
            Parameter(name="dry_run", place="query", description="`true`: check, keep nothing"),
            Parameter(
                name="mapping",
                place="query",
                description="Name of the mapping that translates the JSON or CSV of the body",
            ),
            Parameter(name="Idempotency-Key", place="header", description="Your own name for this request"),
        ),
        body="application/xml",
        other_bodies=("application/json", "text/csv"),
    ),
    Operation(
        method="get",
        path="/v1/messages/{id}",
        summary="How a message stands",
        detail="Another enterprise's id answers 404.",
        answers={200: ("The message and its way", views.StatusView)},
        problems=(*_CALLER, "not-found"),
        parameters=(_ID,),
    ),
    Operation(
        method="get",
        path="/v1/messages/{id}/content",
        summary="The accepted bytes",
        detail="Exactly what was handed in.",
        answers={200: ("The bytes", None)},
        problems=(*_CALLER, "not-found"),
        parameters=(_ID,),
    ),
    Operation(
        method="get",
        path="/v1/messages/{id}/evidence",
        summary="What proves its life",
        detail="One file that `gateway evidence verify` checks with the node's public key alone. `503` until the log"
        " covers the message, a minute at most.",
        answers={200: ("The file", None)},
        problems=(*_CALLER, "not-found"),
        parameters=(
            _ID,
            Parameter(name="redact", place="query", description="`true`: digests only, no bytes"),
        ),
        media_type="application/json",
    ),
    Operation(
        method="get",
        path="/v1/declarations",
        summary="The timeline of a declaration",
        detail="All answers about it, in the order of customs' own time.",
        answers={200: ("The answers", views.TimelineView)},
        problems=(*_CALLER, "not-found"),
        parameters=(
            Parameter(name="type", place="query", description="Message type, `CEB621Message`"),
            Parameter(
                name="key",
                place="query",
                description="Key fields in catalogue order, or one number: `agentCode=… copNo=…`, `invtNo=…`",
            ),
        ),
    ),
    Operation(
        method="get",
        path="/v1/receipts",
        summary="What customs answered",
        detail="Your own answers, and messages that others addressed to you, after the cursor, in the order in"
        " which they were filed; waits if asked to.",
        answers={200: ("A page of receipts", views.ReceiptsView)},
        problems=(*_CALLER, "bad-request"),
        parameters=(
            Parameter(
                name="after",
                place="query",
                description="Cursor; default: the acknowledged one",
                kind="integer",
            ),
            Parameter(
                name="limit", place="query", description="At most so many, 1 to 1000; 100", kind="integer"
            ),
            Parameter(
                name="wait", place="query", description="Seconds to wait for news, up to 60", kind="integer"
            ),
        ),
    ),
    Operation(
        method="get",
        path="/v1/receipts/{id}/content",
        summary="The bytes of a receipt",
        detail="As customs sent them; bodies that are not yours are cut out, nothing else is changed. Of a message"
        " that another one addressed to you: its DxpMsg.",
        answers={200: ("The bytes", None)},
        problems=(*_CALLER, "not-found"),
        parameters=(Parameter(name="id", place="path", description="Id of the receipt", kind="integer"),),
    ),
    Operation(
        method="post",
        path="/v1/receipts/ack",
        summary="Acknowledge receipts",
        detail="Remembers how far you have read; never goes back.",
        answers={200: ("The cursor that holds", views.CursorView)},
        problems=(*_CALLER, "bad-request"),
        body="application/json",
    ),
    Operation(
        method="get",
        path="/healthz",
        summary="Alive?",
        detail="",
        secured=False,
        answers={200: ("Yes", views.HealthView)},
    ),
    Operation(
        method="get",
        path="/readyz",
        summary="Can it accept now?",
        detail="",
        secured=False,
        answers={200: ("Yes", views.HealthView), 503: ("No, and why not", views.HealthView)},
    ),
    Operation(
        method="get",
        path="/metrics",
        summary="Figures for Prometheus",
        detail="Asks for the token of `metrics.token_file` when the operator has set one.",
        secured=False,
        answers={200: ("The figures, as text in Prometheus' format", None)},
        media_type="text/plain",
        problems=("unauthorised",),
    ),
)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    seen = {view for one in OPERATIONS for _, view in one.answers.values() if view is not None}
    kinds = sorted(seen, key=lambda view: view.__name__)
    _, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Customs exchange gateway",
            "version": version("customs-exchange-gateway"),
            "description": "Hand in declarations, bring customs' answers home.",
        },
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


_SECURITY_SCHEMES: Final[Mapping[str, Any]] = {
    "token": {"type": "http", "scheme": "bearer"},
    "certificate": {
        "type": "mutualTLS",
        "description": "A client certificate that the operator has registered; only where the door itself speaks TLS.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Gateway-Signature",
        "description": "Hex HMAC-SHA256 with your secret over five lines, joined by LF: method, path with query,"
        f" X-Gateway-Timestamp (seconds since 1970, at most {WINDOW_S} s away), X-Gateway-Nonce (16 to 64 of"
        " A-Z a-z 0-9 _ -, used once), X-Gateway-Content-SHA256 (hex, of the body; may be left out when there is"
        " none). X-Gateway-Key names the key.",
    },
}
_SECURITY: Final[list[dict[str, list[str]]]] = [{name: []} for name in _SECURITY_SCHEMES]
"""Each is enough."""
_PROBLEM: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "RFC 9457 problem document",
    "required": ["type", "code", "title", "status", "faults"],
    "properties": {
        "type": {"type": "string"},
        "code": {"type": "string", "enum": sorted(PROBLEMS)},
        "title": {"type": "string"},
        "title_zh": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "detail_zh": {"type": "string"},
        "instance": {"type": "string"},
        "faults": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    **{
                        name: {"type": "string"}
                        for name in (
                            "path",
                            "element",
                            "name_zh",
                            "value",
                            "rule",
                            "message",
                            "message_zh",
                            "fix",
                            "source",
                        )
                    },
                    "line": {"type": "integer"},
                    "column": {"type": "integer"},
                },
            },
        },
    },
}


def _operation(one: Operation) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, (text, view) in one.answers.items():
        content = (
            {one.media_type: {}}
            if view is None
            else {"application/json": {"schema": {"$ref": _REF.format(name=view.__name__)}}}
        )
        answers[str(status)] = {"description": text, "content": content}
    for status, codes in _by_status(one.problems).items():
        answers[str(status)] = {
            "description": "; ".join(f"`{code}`: {PROBLEMS[code].title}" for code in codes),
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}},
        }
    operation: dict[str, Any] = {"summary": one.summary, "description": one.detail, "responses": answers}
    if one.parameters:
        operation["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.place,
                "required": parameter.place == "path",
                "description": parameter.description,
                "schema": {"type": parameter.kind},
            }
            for parameter in one.parameters
        ]
    if one.body:
        operation["requestBody"] = {
            "required": True,
            "content": {media: {} for media in (one.body, *one.other_bodies)},
        }
    if one.secured:
        operation["security"] = _SECURITY
    return operation


def _by_status(codes: tuple[str, ...]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for code in codes:
        found.setdefault(int(PROBLEMS[code].status), []).append(code)
    return found


@cache
def page() -> str:
    """Return a page for people: every operation, its parameters and answers; nothing from elsewhere."""
    parts = [_section(one) for one in OPERATIONS]
    problems = "".join(
        f"<tr><td><code>{code}</code></td><td>{int(problem.status)}</td><td>{html.escape(problem.title)}</td>"
        f"<td>{problem.title_zh}</td></tr>"
        for code, problem in sorted(PROBLEMS.items())
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Customs exchange gateway</title>"
        f"<style>{_STYLE}</style><h1>Customs exchange gateway</h1>"
        "<p>Machine-readable: <a href=/openapi.json>openapi.json</a>. Every request carries"
        " <code>Authorization: Bearer TOKEN</code>, or a signature (<code>X-Gateway-Signature</code>), or comes over"
        " TLS with a client certificate.</p>"
        f"{''.join(parts)}<h2>Problems</h2><table><tr><th>code<th>status<th>meaning<th>含义</tr>{problems}</table>"
    )


_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2733}"
    "code{background:#eef2f6;padding:.1em .3em;border-radius:.2em}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;border-bottom:1px solid #d6dde4;padding:.3em .6em;vertical-align:top}"
    "h2{margin-top:2rem;font-size:1.1rem}b{color:#0b5394;text-transform:uppercase}"
)


def _section(one: Operation) -> str:
    rows = [
        f"<tr><td><code>{parameter.name}</code> ({parameter.place})<td>{html.escape(parameter.description)}</tr>"
        for parameter in one.parameters
    ]
    rows += [f"<tr><td>{status}<td>{html.escape(text)}</tr>" for status, (text, _) in one.answers.items()]
    rows += [
        f"<tr><td>{status}<td>{', '.join(f'<code>{code}</code>' for code in codes)}</tr>"
        for status, codes in _by_status(one.problems).items()
    ]
    return (
        f"<h2><b>{one.method}</b> <code>{html.escape(one.path)}</code> {html.escape(one.summary)}</h2>"
        f"<p>{html.escape(one.detail)}</p><table>{''.join(rows)}</table>"
    )
