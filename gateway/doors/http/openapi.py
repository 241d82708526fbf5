"""The OpenAPI 3.1 document (`/openapi.json`), made from the table of operations, the views and the problems."""

import ast
import inspect
import random
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Final, get_args

import msgspec

from gateway.doors.http.operations import (
    MESSAGE_FORMS,
    OPERATIONS,
    PROBLEM_HEADERS,
    HeaderSpec,
    LinkSpec,
    Operation,
    Parameter,
    ResponseSpec,
    problems_of,
)
from gateway.doors.http.request_signature import WINDOW_S
from gateway.imports import views
from gateway.mapping.sources.table import Form
from gateway.model import Actor, CodeClass, Fault, Layer, Severity
from gateway.parcels.facts import DocumentKind
from gateway.problems import MEDIA_TYPE, PROBLEMS, TYPE_BASE
from gateway.rules.code_tables import Grade
from gateway.samples.compose import compose
from gateway.version import gateway_version
from gateway.views import api
from spool.imports import JobState
from spool.lifecycle import State

_REF: Final = "#/components/schemas/{name}"
_STATES: Final = [state.value for state in State]
_KINDS: Final = [kind.value for kind in CodeClass]
_RETRIES: Final = ["retry", "fix", "never", ""]
_ACTORS: Final = [actor.value for actor in Actor]
_SEVERITIES: Final = [one.value for one in Severity]
_DOCUMENTS: Final = [kind.value for kind in DocumentKind]
_VALUES: Final[Mapping[tuple[str, str], list[str]]] = {
    ("AcceptedView", "state"): ["accepted", "valid"],
    ("StatusView", "state"): _STATES,
    ("EntryView", "state"): _STATES,
    ("AnswerView", "layer"): [layer.value for layer in Layer],
    ("MeaningView", "kind"): _KINDS,
    ("MeaningView", "retry"): _RETRIES,
    ("MeaningView", "who"): _ACTORS,
    ("NewsView", "kind"): _KINDS,
    ("NewsView", "retry"): _RETRIES,
    ("NewsView", "who"): _ACTORS,
    ("AdviceView", "severity"): _SEVERITIES,
    ("AdviceView", "who"): _ACTORS,
    ("AdviceView", "grade"): list(get_args(Grade)),
    ("MatchingView", "severity"): _SEVERITIES,
    ("FieldMatchView", "against"): _DOCUMENTS,
    ("OtherDocumentView", "kind"): _DOCUMENTS,
    ("OwnDocumentView", "kind"): _DOCUMENTS,
    ("ImportView", "state"): [one.value for one in JobState if one is not JobState.PARTIAL],
    ("ImportView", "phase"): ["reading", "checking", "making", ""],
    ("ImportView", "form"): [form.value for form in Form],
    ("HealthView", "status"): ["alive", "ready", "not ready"],
}
"""View and field → all its possible values; the API never returns others."""
_LEFT_OUT: Final = frozenset({("AcceptedView", "edition_notice")})
"""View and field that an answer leaves out when there is nothing to say."""
TITLE: Final = "Customs exchange gateway"
ABOUT: Final = (
    "Hand in declarations, bring customs' answers home. Whatever cannot be done is answered with an RFC 9457"
    " document, `application/problem+json`, by a stable `code`, in English and Chinese: also `404` for a path that"
    " is not there, `405` with `Allow` for a method that a path does not know, and `400` for a request that is"
    " no HTTP."
)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": gateway_version(), "description": ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for one in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": {**_views(), "Fault": _FAULT, "Problem": _PROBLEM},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def example() -> bytes:
    """Return a message that a fresh site accepts: a payment note of the demonstration enterprise, invented data."""
    names = {"cop_code": "4400000001", "dxp_id": "DXPENT0000000001"}
    return compose("CEB411Message", rng=random.Random(1), **names).body  # type: ignore[arg-type]  # noqa: S311


_SECURITY_SCHEMES: Final[Mapping[str, Any]] = {
    "token": {"type": "http", "scheme": "bearer", "description": "The enterprise's token"},
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
    "metrics": {"type": "http", "scheme": "bearer", "description": "The monitor's token"},
}
_WAYS_IN: Final = ("token", "certificate", "signature")
"""Each of them is sufficient."""


def _operation(one: Operation) -> dict[str, Any]:
    answers = {str(status): _reply(reply) for status, reply in one.replies.items()}
    answers |= {str(status): _problem(status, codes) for status, codes in problems_of(one).items()}
    told: dict[str, Any] = {
        "operationId": one.id,
        "tags": [one.tag],
        "summary": one.summary,
        "description": one.detail,
        "responses": answers,
        "security": [{name: []} for name in _WAYS_IN] if one.security == "token" else [{}],
    }
    if one.security == "metrics":
        told["security"] = [{}, {"metrics": []}]
    if one.parameters:
        told["parameters"] = [_parameter(parameter) for parameter in one.parameters]
    if one.body:
        told["requestBody"] = {"required": True, "content": {form: _body(one, form) for form in one.body}}
    return told


def _body(one: Operation, form: str) -> dict[str, Any]:
    if one.body_view is not None:
        return {"schema": {"$ref": _REF.format(name=one.body_view.__name__)}}
    return {"examples": {"payment": {"value": example().decode()}}} if form == MESSAGE_FORMS[0] else {}


def _parameter(one: Parameter) -> dict[str, Any]:
    told = {
        "name": one.name,
        "in": one.place,
        "required": one.required,
        "description": one.description,
        "schema": dict(one.schema),
    }
    return told if one.example is None else told | {"example": one.example}


def _reply(one: ResponseSpec) -> dict[str, Any]:
    if one.view is not None:
        content: dict[str, Any] = {"schema": {"$ref": _REF.format(name=one.view.__name__)}}
    elif one.media_type == "application/json":
        content = {"schema": {"type": "object"}}
    else:
        content = {}
    told: dict[str, Any] = {"description": one.says, "content": {one.media_type: content}}
    if one.headers:
        told["headers"] = {header.name: _header(header) for header in one.headers}
    if one.links:
        told["links"] = {link.operation: _link(link) for link in one.links}
    return told


def _link(one: LinkSpec) -> dict[str, Any]:
    if one.parameter:
        return {"operationId": one.operation, "parameters": {one.parameter: one.value}}
    return {"operationId": one.operation, "requestBody": {"cursor": one.value}}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    narrowed = {
        "status": {"const": status},
        "code": {"enum": codes},
        "type": {"enum": [TYPE_BASE + code for code in codes]},
        "title": {"enum": [PROBLEMS[code].title for code in codes]},
        "title_zh": {"enum": [PROBLEMS[code].title_zh for code in codes]},
    }
    schema = {"allOf": [{"$ref": _REF.format(name="Problem")}, {"properties": narrowed}]}
    told: dict[str, Any] = {
        "description": "; ".join(f"`{code}`: {PROBLEMS[code].title}" for code in codes),
        "content": {MEDIA_TYPE: {"schema": schema}},
    }
    headers = {header.name: header for code in codes if (header := PROBLEM_HEADERS.get(code))}
    every = len(headers) == 1 and all(code in PROBLEM_HEADERS for code in codes)
    if headers:
        told["headers"] = {name: _header(one) | {"required": every} for name, one in headers.items()}
    return told


def _header(one: HeaderSpec) -> dict[str, Any]:
    return {"description": one.description, "required": one.always, "schema": dict(one.schema)}


# ---- schemas ----


def _views() -> dict[str, Any]:
    """Describe every view: types from msgspec, meanings from the docstrings, possible values from `_VALUES`."""
    kinds = {reply.view for one in OPERATIONS for reply in one.replies.values() if reply.view is not None}
    kinds |= {one.body_view for one in OPERATIONS if one.body_view is not None}
    named = sorted(kinds, key=lambda view: view.__name__)
    _, schemas = msgspec.json.schema_components(named, ref_template=_REF)
    said = _field_docs()
    for view, schema in schemas.items():
        schema["required"] = [  # an answer leaves nothing else out, nor its defaults
            name for name in schema["properties"] if (view, name) not in _LEFT_OUT
        ]
        for name, field in schema["properties"].items():
            if (view, name) in said:
                field["description"] = said[view, name]
            if (view, name) in _VALUES:
                field.get("items", field)["enum"] = _VALUES[view, name]
            field.pop("default", None)
    return schemas


def _field_docs() -> dict[tuple[str, str], str]:
    """Return view and field → the docstring under the field, which is only in the source."""
    return {
        (view.name, name): text
        for module in (api, views)
        for view in ast.parse(inspect.getsource(module)).body
        if isinstance(view, ast.ClassDef)
        for name, text in _texts_under(view)
    }


def _texts_under(view: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(view.body, view.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, text


_TEXT: Final[Mapping[str, str]] = {"type": "string"}
_FAULT: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "One thing that is wrong, and where",
    "required": [one.name for one in fields(Fault) if one.name != "source"],
    "properties": {
        "path": {"type": "string", "description": "Place in the document, as XPath; empty: the whole of it"},
        "line": {"type": "integer", "minimum": 0, "description": "From 1; 0: not known"},
        "column": {"type": "integer", "minimum": 0, "description": "From 1, in characters; 0: not known"},
        "element": {"type": "string", "description": "The field; of a misspelt one, the field that is meant"},
        "name_zh": {"type": "string", "description": "Chinese name of the element"},
        "value": {"type": "string", "description": "What stands there; personal values are masked"},
        "rule": {"type": "string", "description": "Stable name of the rule"},
        "message": _TEXT,
        "message_zh": _TEXT,
        "fix": {"type": "string", "description": "What to do"},
        "fix_zh": {"type": "string", "description": "What to do, in Chinese"},
        "code": {
            "type": "string",
            "description": "Code with which customs or the exchange would answer to this; empty: not known",
        },
        "source": {
            "type": "string",
            "description": "Place in the JSON or table that was handed in; only with `mapping`",
        },
        "sheet": {
            "type": "string",
            "description": "Of a table with several sheets: the sheet; only with `mapping`",
        },
        "row": {
            "type": "integer",
            "description": "Of a table: number of the row, as in a spreadsheet; only with `mapping`; 0: no table",
        },
        "head": {"type": "string", "description": "Of a table: the column; only with `mapping`"},
    },
}
_PROBLEM: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "RFC 9457 problem document; `type`, `code` and both titles belong together and never change",
    "required": ["type", "code", "title", "title_zh", "status", "faults"],
    "properties": {
        "type": {"type": "string", "format": "uri", "enum": [TYPE_BASE + code for code in sorted(PROBLEMS)]},
        "code": {"type": "string", "enum": sorted(PROBLEMS)},
        "title": _TEXT,
        "title_zh": _TEXT,
        "status": {"type": "integer", "enum": sorted({int(one.status) for one in PROBLEMS.values()})},
        "detail": {"type": "string", "description": "The first fault, and how many more there are"},
        "detail_zh": _TEXT,
        "instance": {"type": "string", "description": "Path of the request"},
        "faults": {"type": "array", "items": {"$ref": _REF.format(name="Fault")}},
    },
}
