"""The contract as a table: every operation of the HTTP API with its parameters, bounds, answers and problems.

The OpenAPI document and the page for people are made from it, and the door takes its bounds from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from gateway.imports.views import ImportDetailView, ImportsView, ImportView, ResultView
from gateway.mapping.sources.table import MEDIA, Form
from gateway.problems import PROBLEMS
from gateway.views import api
from gateway.views.parcels import ParcelView

WAIT_AT_MOST_S: Final = 60
PAGE: Final = 100
PAGE_AT_MOST: Final = 1000
IDEMPOTENCY_KEY_AT_MOST: Final = 255
KEY_AT_MOST: Final = 1000
"""Characters of `key` in a question for a declaration."""
ACKNOWLEDGEMENT_BYTES: Final = 64 * 1024
PARCEL_NUMBERS: Final = ("order_no", "waybill_no", "invt_no")
PARCEL_NUMBER_AT_MOST: Final = 60
"""Characters of a number in a question for a parcel."""
MESSAGE_FORMS: Final = ("application/xml", "text/xml", "application/octet-stream")
"""Media types of a submission; none at all is taken for the first."""

SOURCE_FORMS: Final = tuple(MEDIA.values())
"""Media types of what a mapping translates to a message."""
REGISTER_FORMS: Final = (MEDIA[Form.CSV], MEDIA[Form.XLSX], MEDIA[Form.JSON])
"""Media types of goods that are handed in; none at all is taken for the first."""

IMPORT_FORMS: Final = (*SOURCE_FORMS, "application/octet-stream")
"""Media types of sources of many declarations; of none at all, or the last, the first bytes say what it is."""
MAPPINGS_AT_MOST: Final = 8
IMPORT_PAGE: Final = 100
IMPORT_PAGE_AT_MOST: Final = 1000
PART_BYTES: Final = 16 * 1024 * 1024
"""Of a source that is fetched; a multiple of `spool.imports.CHUNK_BYTES`."""

ParameterPlace = Literal["path", "query", "header"]
Security = Literal["token", "metrics", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A path, query or header parameter."""

    name: str
    place: ParameterPlace
    description: str
    schema: Mapping[str, Any]
    """JSON schema: type and bounds; what is outside of them is answered `bad-request`."""
    example: str | int | bool | None = None
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderSpec:
    """A header of an answer."""

    name: str
    description: str
    schema: Mapping[str, Any]
    always: bool = True
    """Whether every answer of this status has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """What an answer says that another operation asks for."""

    operation: str
    """Id of that operation."""
    parameter: str
    """Its parameter; empty: the member `cursor` of its body."""
    value: str
    """Runtime expression of OpenAPI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSpec:
    """A good answer."""

    says: str
    view: type | None = None
    """What the JSON holds; None: no JSON of ours."""
    media_type: str = "application/json"
    headers: tuple[HeaderSpec, ...] = ()
    links: tuple[LinkSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing the API does."""

    id: str
    method: Literal["get", "post", "put", "delete"]
    path: str
    tag: str
    summary: str
    detail: str
    replies: Mapping[int, ResponseSpec]
    problems: tuple[str, ...] = ()
    """Codes beside those that any operation with a token may give."""
    parameters: tuple[Parameter, ...] = ()
    body: tuple[str, ...] = ()
    """Media types of the request body; empty: it takes none."""
    body_view: type | None = None
    """What a JSON body holds; None: raw bytes."""
    security: Security = "token"


LOCATION: Final = HeaderSpec(
    name="Location",
    description="Path of the message; not for a dry run, which keeps none",
    schema={"type": "string", "pattern": "^/v1/messages/[0-9A-F-]{36}$"},
    always=False,
)
_ALWAYS_THERE: Final = HeaderSpec(
    name="Location", description="Path of the message", schema=LOCATION.schema, always=True
)
_RETRY_AFTER: Final = HeaderSpec(
    name="Retry-After",
    description="Whole seconds until asking again makes sense",
    schema={"type": "integer", "minimum": 1},
)
PROBLEM_HEADERS: Final[Mapping[str, HeaderSpec]] = MappingProxyType(
    {
        "unauthorised": HeaderSpec(
            name="WWW-Authenticate",
            description="How to say who you are",
            schema={"type": "string", "minLength": 1},
        ),
        "not-yet": _RETRY_AFTER,
        "quota-exceeded": _RETRY_AFTER,
        "unavailable": _RETRY_AFTER,
    }
)
"""Code → the header that every problem of this code has."""
ANY_WITH_TOKEN: Final = (
    "unauthorised", "not-your-identity", "quota-exceeded", "internal-error", "unavailable",
)  # fmt: skip
"""What may be wrong with whoever asks, or with us, whatever for."""
ANY: Final = ("bad-request", "too-slow", "target-too-long", "head-too-large", "version-not-supported")
"""What may be wrong with any request: a parameter that its operation does not know, or what is said before it is read."""

_MESSAGE_ID: Final = Parameter(
    name="id",
    place="path",
    description="Id of the message, as the submission answered",
    schema={"type": "string", "pattern": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"},
    example="01A200C3-CA5A-7F1A-B0CE-28A533CF2BF5",
    required=True,
)
_ABOUT_IT: Final = tuple(
    LinkSpec(operation=name, parameter="id", value="$response.body#/id")
    for name in ("getMessage", "getMessageContent", "getMessageEvidence")
)
_BOOLEAN: Final = MappingProxyType({"type": "boolean", "default": False})

_SUBMIT: Final = Operation(
    id="submitMessage",
    method="post",
    path="/v1/messages",
    tag="Submit",
    summary="Hand in a message",
    detail="The body is one CEB document with 1 to 100 declarations, or a DxpMsg that holds one, byte for byte; or JSON"
    " or a table (CSV, XLSX) that `mapping` translates to a CEB document, which is then what is kept and answered for."
    " `202` comes after the fsync: from then on the gateway answers for it. After no answer at all, send the"
    " same bytes again: they are one message.",
    replies={
        202: ResponseSpec(
            says="It is in the spool, on disk",
            view=api.AcceptedView,
            headers=(_ALWAYS_THERE,),
            links=_ABOUT_IT,
        ),
        200: ResponseSpec(
            says="Accepted before: the first answer again. Or the dry run found nothing wrong: an empty `id`,"
            " `state` is `valid`. In both, `advice` is by the rules of today",
            view=api.AcceptedView,
            headers=(LOCATION,),
        ),
    },
    problems=(
        "conflicting-version", "cop-msg-id-taken", "idempotency-key-taken", "too-large",
        "unsupported-media-type", "not-xml", "unsafe-xml", "wrong-encoding", "unknown-message",
        "invalid-envelope", "invalid-message", "invalid-signature", "no-route", "unknown-mapping", "not-json", "not-csv", "not-xlsx",
        "untranslatable", "advice-blocks", "too-expensive",
    ),
    parameters=(
        Parameter(
            name="dry_run",
            place="query",
            description="`true`: check the message and keep nothing",
            schema=_BOOLEAN,
        ),
        Parameter(
            name="mapping",
            place="query",
            description="Name of the mapping that translates the JSON or table of the body",
            schema={"type": "string", "minLength": 1},
        ),
        Parameter(
            name="app_time",
            place="query",
            description="With `mapping`: the time of declaration, where the mapping asks for it and the source has none;"
            " YYYYMMDDhhmmss, Beijing time",
            schema={"type": "string", "pattern": "^[0-9]{14}$"},
            example="20261111080000",
        ),
        Parameter(
            name="Idempotency-Key",
            place="header",
            description="A name of your own for this request: the same bytes again under it get the first answer,"
            " other bytes `409`. Printable ASCII",
            schema={"type": "string", "maxLength": IDEMPOTENCY_KEY_AT_MOST, "pattern": "^[ -~]*$"},
            example="order-20261111-0001",
        ),
    ),
    body=(*MESSAGE_FORMS, *SOURCE_FORMS),
)  # fmt: skip
_MESSAGE: Final = Operation(
    id="getMessage",
    method="get",
    path="/v1/messages/{id}",
    tag="Look",
    summary="How a message stands",
    detail="`sent` means that the exchange has it, not that customs has decided. Another enterprise's id answers"
    " `404`.",
    replies={200: ResponseSpec(says="The message and its way", view=api.StatusView)},
    problems=("not-found",),
    parameters=(_MESSAGE_ID,),
)
_CONTENT: Final = Operation(
    id="getMessageContent",
    method="get",
    path="/v1/messages/{id}/content",
    tag="Look",
    summary="The accepted bytes",
    detail="Exactly what was handed in.",
    replies={200: ResponseSpec(says="The bytes", media_type="application/octet-stream")},
    problems=("not-found",),
    parameters=(_MESSAGE_ID,),
)
_EVIDENCE: Final = Operation(
    id="getMessageEvidence",
    method="get",
    path="/v1/messages/{id}/evidence",
    tag="Look",
    summary="What proves its life",
    detail="One file that `gateway evidence verify` checks with the node's public key alone; of a translated message with"
    " source, mapping and trace, so that the translation can be repeated. `not-yet` until the log covers the message, a minute at most.",
    replies={200: ResponseSpec(says="The file", media_type="application/json")},
    problems=("not-found", "not-yet"),
    parameters=(
        _MESSAGE_ID,
        Parameter(
            name="redact", place="query", description="`true`: digests only, no bytes", schema=_BOOLEAN
        ),
    ),
)
_DECLARATION: Final = Operation(
    id="getDeclaration",
    method="get",
    path="/v1/declarations",
    tag="Look",
    summary="The timeline of a declaration",
    detail="All answers about it, in the order of customs' own time.",
    replies={200: ResponseSpec(says="The answers so far", view=api.TimelineView)},
    problems=("not-found",),
    parameters=(
        Parameter(
            name="type",
            place="query",
            description="Message type of the declaration",
            schema={"type": "string", "pattern": "^CEB[0-9]{3}Message$"},
            example="CEB621Message",
            required=True,
        ),
        Parameter(
            name="key",
            place="query",
            description="The key fields in the order of the submission's answer, `agentCode=… copNo=…`, or one"
            " number that customs assigned, `invtNo=…`",
            schema={
                "type": "string",
                "minLength": 1,
                "maxLength": KEY_AT_MOST,
                "pattern": r"^[^\u0000-\u001f\u007f]+$",
            },
            example="agentCode=4400000001 copNo=C8604518043168101",
            required=True,
        ),
    ),
)
_PARCEL: Final = Operation(
    id="getParcel",
    method="get",
    path="/v1/parcels",
    tag="Look",
    summary="Whether the documents of a parcel agree",
    detail="Your own orders, payments, waybills and inventories under one number, how each stands, which of their fields"
    " agree with the other documents of the parcel and what is missing. Of documents of others nothing is told but that they"
    " are there and whether your fields agree with them, and only if the two name each other or the same person. Exactly"
    " one of the three numbers is given.",
    replies={200: ResponseSpec(says="Your documents", view=ParcelView)},
    problems=("not-found",),
    parameters=tuple(
        [
            Parameter(
                name=name,
                place="query",
                description=description,
                schema={
                    "type": "string",
                    "minLength": 1,
                    "maxLength": PARCEL_NUMBER_AT_MOST,
                    "pattern": r"^[^\u0000-\u001f\u007f]+$",
                },
                example=example,
            )
            for name, description, example in (
                ("order_no", "Number of the order, `orderNo`", "ORDER-20261111-1"),
                ("waybill_no", "Number of the waybill, `logisticsNo`", None),
                ("invt_no", "Number that customs gave the inventory, `invtNo`", None),
            )
        ]
    ),
)
_RECEIPTS: Final = Operation(
    id="listReceipts",
    method="get",
    path="/v1/receipts",
    tag="Receipts",
    summary="What customs answered",
    detail="Your own answers, and messages that others addressed to you, after the cursor, in the order in"
    " which they were filed; waits if asked to.",
    replies={
        200: ResponseSpec(
            says="A page of receipts, perhaps an empty one",
            view=api.ReceiptsView,
            links=(
                LinkSpec(
                    operation="getReceiptContent", parameter="id", value="$response.body#/receipts/0/id"
                ),
                LinkSpec(operation="acknowledgeReceipts", parameter="", value="$response.body#/cursor"),
            ),
        )
    },
    parameters=(
        Parameter(
            name="after",
            place="query",
            description="Cursor; without it, the acknowledged one",
            schema={"type": "integer", "minimum": 0, "maximum": api.CURSOR_AT_MOST},
        ),
        Parameter(
            name="limit",
            place="query",
            description="At most so many receipts",
            schema={"type": "integer", "minimum": 1, "maximum": PAGE_AT_MOST, "default": PAGE},
        ),
        Parameter(
            name="wait",
            place="query",
            description="Seconds to wait for news when there is nothing yet",
            schema={"type": "integer", "minimum": 0, "maximum": WAIT_AT_MOST_S, "default": 0},
        ),
    ),
)
_RECEIPT_CONTENT: Final = Operation(
    id="getReceiptContent",
    method="get",
    path="/v1/receipts/{id}/content",
    tag="Receipts",
    summary="The bytes of a receipt",
    detail="As customs sent them; of a receipt that speaks of several enterprises your bodies alone, whole, in"
    " the XML declaration and the tags of the root. Of a message that another one addressed to you: its DxpMsg.",
    replies={200: ResponseSpec(says="The bytes", media_type="application/xml")},
    problems=("not-found",),
    parameters=(
        Parameter(
            name="id",
            place="path",
            description="Id of the receipt, as the page of receipts gives it",
            schema={"type": "string", "pattern": "^[0-9]{1,18}$"},
            example="1",
            required=True,
        ),
    ),
)
_ACKNOWLEDGE: Final = Operation(
    id="acknowledgeReceipts",
    method="post",
    path="/v1/receipts/ack",
    tag="Receipts",
    summary="Acknowledge receipts",
    detail="Remembers how far you have read; never goes back. Beyond the newest receipt it is `400` and nothing is"
    " remembered. The body is read as JSON whatever its Content-Type says.",
    replies={200: ResponseSpec(says="The cursor that holds", view=api.CursorView)},
    problems=("too-large",),
    body=("application/json",),
    body_view=api.AcknowledgementView,
)
_HANDED_IN: Final = (
    "too-large", "unsupported-media-type", "not-csv", "not-xlsx", "not-json", "wrong-encoding", "invalid-register",
    "too-expensive",
)  # fmt: skip
_ITEM_NO: Final = Parameter(
    name="item_no",
    place="query",
    description="Item number (itemNo) whose rows are shown",
    schema={"type": "string", "minLength": 1, "maxLength": 30, "pattern": r"^[^\u0000-\u001f\u007f]+$"},
    example="SKU-1",
)


def _register(path: str, name: str, what: str, parameters: tuple[Parameter, ...]) -> tuple[Operation, ...]:
    """Return the operations on one register."""
    return (
        Operation(
            id=f"put{name}",
            method="put",
            path=path,
            tag="Goods",
            summary=f"Hand in {what}",
            detail="Replaces what was handed in before: all of it, or nothing and every faulty row with line and column."
            " CSV or XLSX with heads in English or Chinese, or a JSON array of objects; see docs/goods.md for the columns. In force at"
            " every door within seconds.",
            replies={200: ResponseSpec(says="It is in force", view=api.RegisteredView)},
            problems=_HANDED_IN,
            body=REGISTER_FORMS,
        ),
        Operation(
            id=f"get{name}",
            method="get",
            path=path,
            tag="Goods",
            summary=f"Look at {what}",
            detail="What is in force, with its number and its digest.",
            replies={200: ResponseSpec(says="What is in force", view=api.RegisterView)},
            problems=("not-found",),
            parameters=parameters,
        ),
        Operation(
            id=f"get{name}Content",
            method="get",
            path=f"{path}/content",
            tag="Goods",
            summary="The bytes as handed in",
            detail="Exactly what was handed in.",
            replies={200: ResponseSpec(says="The bytes", media_type="application/octet-stream")},
            problems=("not-found",),
        ),
        Operation(
            id=f"delete{name}",
            method="delete",
            path=path,
            tag="Goods",
            summary=f"Take back {what}",
            detail="Nothing is compared with it any more.",
            replies={200: ResponseSpec(says="It is no longer in force", view=api.DroppedView)},
            problems=("not-found",),
        ),
    )


_REGISTERS: Final = (
    *_register("/v1/goods", "Goods", "your goods", (_ITEM_NO,)),
    *_register("/v1/goods/books", "Books", "your switches of account books and record numbers", ()),
)
_IMPORT_ID: Final = Parameter(
    name="id",
    place="path",
    description="Id of the import, as handing it in answered",
    schema=_MESSAGE_ID.schema,
    example="01A200C3-CA5A-7F1A-B0CE-28A533CF2BF5",
    required=True,
)
_IMPORT_LOCATION: Final = HeaderSpec(
    name="Location",
    description="Path of the import",
    schema={"type": "string", "pattern": "^/v1/imports/[0-9A-F-]{36}$"},
)
_IMPORT_LIMIT: Final = Parameter(
    name="limit",
    place="query",
    description="At most so many",
    schema={"type": "integer", "minimum": 1, "maximum": IMPORT_PAGE_AT_MOST, "default": IMPORT_PAGE},
)
_ABOUT_IMPORT: Final = tuple(
    LinkSpec(operation=name, parameter="id", value="$response.body#/id")
    for name in (
        "getImport",
        "cancelImport",
        "getImportOutcomes",
        "getImportSource",
        "getImportRefused",
        "getImportResult",
    )
)


def _numbered(name: str, description: str) -> Parameter:
    return Parameter(
        name=name,
        place="query",
        description=description,
        schema={"type": "integer", "minimum": 0, "maximum": api.CURSOR_AT_MOST, "default": 0},
    )


_PART: Final = Parameter(
    name="part",
    place="query",
    description="Number of the part, from 0; behind the last one it is `404`",
    schema={"type": "integer", "minimum": 0, "maximum": 10**6, "default": 0},
)
_XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_IMPORTS: Final = (
    Operation(
        id="submitImport",
        method="post",
        path="/v1/imports",
        tag="Imports",
        summary="Hand in a source of many declarations",
        detail="A sheet (XLSX, CSV) or JSON, or one JSON document a line, which `mapping` translates. `202` comes when all of it"
        " is on disk; messages are made of it afterwards, each with up to 100 declarations, and what is not sound is refused"
        " while the rest goes on. The same bytes with the same parameters again are the same import.",
        replies={
            202: ResponseSpec(
                says="It is in the spool, on disk",
                view=ImportView,
                headers=(_IMPORT_LOCATION,),
                links=_ABOUT_IMPORT,
            ),
            200: ResponseSpec(
                says="It was handed in before: the first import as it stands",
                view=ImportView,
                headers=(_IMPORT_LOCATION,),
            ),
        },
        problems=("too-large", "unsupported-media-type", "unknown-mapping"),
        parameters=(
            Parameter(
                name="mapping",
                place="query",
                description=f"Name of the mapping, or names of up to {MAPPINGS_AT_MOST} with commas between them, when several"
                " message types are made of one sheet",
                schema={
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1000,
                    "pattern": r"^[^\u0000-\u001f\u007f]+$",
                },
                example="orders",
                required=True,
            ),
            Parameter(
                name="charset",
                place="query",
                description="Charset of CSV; without it that of the Content-Type, else the bytes tell it",
                schema={"type": "string", "minLength": 1, "maxLength": 40, "pattern": "^[A-Za-z0-9._-]+$"},
                example="GB18030",
            ),
            Parameter(
                name="app_time",
                place="query",
                description="Time of the declarations (appTime) where the source says none: `YYYYMMDDhhmmss`, Beijing time",
                schema={"type": "string", "pattern": "^[0-9]{14}$"},
                example="20261111093000",
            ),
            Parameter(
                name="all_or_nothing",
                place="query",
                description="`true`: make no message unless every declaration is sound",
                schema=_BOOLEAN,
            ),
        ),
        body=IMPORT_FORMS,
    ),
    Operation(
        id="listImports",
        method="get",
        path="/v1/imports",
        tag="Imports",
        summary="Your imports",
        detail="Newest first.",
        replies={200: ResponseSpec(says="A page of imports", view=ImportsView)},
        parameters=(_numbered("before", "`before` of the last page; 0: the newest"), _IMPORT_LIMIT),
    ),
    Operation(
        id="getImport",
        method="get",
        path="/v1/imports/{id}",
        tag="Imports",
        summary="How an import stands",
        detail="Its progress, a page of the messages that were made, with the rows in each, and a page of what was refused, with"
        " sheet, row, column and reason. Another enterprise's id answers `404`.",
        replies={200: ResponseSpec(says="The import", view=ImportDetailView)},
        problems=("not-found",),
        parameters=(
            _IMPORT_ID,
            _numbered("accepted_after", "`accepted_after` of the last page"),
            _numbered("refused_after", "`refused_after` of the last page"),
            _IMPORT_LIMIT,
        ),
    ),
    Operation(
        id="cancelImport",
        method="delete",
        path="/v1/imports/{id}",
        tag="Imports",
        summary="Cancel an import",
        detail="Nothing more is made of it; messages that were made stay. One that is over stays as it is.",
        replies={200: ResponseSpec(says="The import as it stands now", view=ImportView)},
        problems=("not-found",),
        parameters=(_IMPORT_ID,),
    ),
    Operation(
        id="getImportOutcomes",
        method="get",
        path="/v1/imports/{id}/result",
        tag="Imports",
        summary="What became of each declaration of an import",
        detail="In which message it is and what customs said of it last, in Chinese; what was made in order, then what was refused.",
        replies={200: ResponseSpec(says="A page of declarations", view=ResultView)},
        problems=("not-found",),
        parameters=(_IMPORT_ID, _numbered("after", "`after` of the last page"), _IMPORT_LIMIT),
    ),
    Operation(
        id="getImportSource",
        method="get",
        path="/v1/imports/{id}/source",
        tag="Imports",
        summary="The source as handed in",
        detail=f"Byte for byte, in parts of {PART_BYTES >> 20} MiB.",
        replies={200: ResponseSpec(says="A part of it", media_type="application/octet-stream")},
        problems=("not-found",),
        parameters=(_IMPORT_ID, _PART),
    ),
    Operation(
        id="getImportRefused",
        method="get",
        path="/v1/imports/{id}/refused.xlsx",
        tag="Imports",
        summary="The refused rows, to be mended",
        detail="As they came, with columns that say why. Mend them, take the columns out or leave them, and hand the file in.",
        replies={200: ResponseSpec(says="The sheet", media_type=_XLSX)},
        problems=("not-found",),
        parameters=(_IMPORT_ID, _PART),
    ),
    Operation(
        id="getImportResult",
        method="get",
        path="/v1/imports/{id}/result.xlsx",
        tag="Imports",
        summary="Every row with what customs said",
        detail="As they came, with columns that say, in Chinese, what became of each.",
        replies={200: ResponseSpec(says="The sheet", media_type=_XLSX)},
        problems=("not-found",),
        parameters=(_IMPORT_ID, _PART),
    ),
)
_MAPPINGS: Final = Operation(
    id="listMappings",
    method="get",
    path="/v1/mappings",
    tag="Imports",
    summary="Mappings that this gateway has",
    detail="Those that come with it and the operator's own, by name.",
    replies={200: ResponseSpec(says="The mappings", view=api.MappingsView)},
)
_OPEN: Final[tuple[Operation, ...]] = (
    Operation(
        id="healthz",
        method="get",
        path="/healthz",
        tag="Operate",
        summary="Alive?",
        detail="Whether the process answers at all. `reasons` name a process that keeps it from writing: it is alive all the same.",
        security="",
        replies={200: ResponseSpec(says="Yes", view=api.HealthView)},
    ),
    Operation(
        id="readyz",
        method="get",
        path="/readyz",
        tag="Operate",
        summary="Can it accept now?",
        detail="For a load balancer. `warnings` say what of the configuration is not in force: it can accept all the same.",
        security="",
        replies={
            200: ResponseSpec(says="Yes", view=api.HealthView),
            503: ResponseSpec(says="No, and why not", view=api.HealthView),
        },
    ),
    Operation(
        id="metrics",
        method="get",
        path="/metrics",
        tag="Operate",
        summary="Figures for Prometheus",
        detail="Asks for the token of `metrics.token_file`; when the operator has set none, answers callers on the same"
        " machine alone.",
        security="metrics",
        replies={
            200: ResponseSpec(says="The figures, as text in Prometheus' format", media_type="text/plain")
        },
        problems=("unauthorised",),
    ),
    Operation(
        id="openapi",
        method="get",
        path="/openapi.json",
        tag="Operate",
        summary="This contract",
        detail="OpenAPI 3.1.",
        security="",
        replies={200: ResponseSpec(says="The document", media_type="application/json")},
    ),
    Operation(
        id="docs",
        method="get",
        path="/docs",
        tag="Operate",
        summary="This contract, for people",
        detail="One page that fetches nothing from elsewhere.",
        security="",
        replies={200: ResponseSpec(says="The page", media_type="text/html")},
    ),
    Operation(
        id="importPage",
        method="get",
        path="/import",
        tag="Imports",
        summary="Declare from a sheet, for people with a browser",
        detail="One page that fetches nothing from elsewhere; it asks this API with the token that its user types.",
        security="",
        replies={200: ResponseSpec(says="The page", media_type="text/html")},
    ),
)
OPERATIONS: Final[tuple[Operation, ...]] = (
    _SUBMIT, _MESSAGE, _CONTENT, _EVIDENCE, _DECLARATION, _PARCEL, _RECEIPTS, _RECEIPT_CONTENT, _ACKNOWLEDGE,
    *_IMPORTS, _MAPPINGS, *_REGISTERS, *_OPEN,
)  # fmt: skip


QUERIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        f"{one.method.upper()} {one.path}": tuple(
            [par.name for par in one.parameters if par.place == "query"]
        )
        for one in OPERATIONS
    }
)
"""Operation, as the metrics name it → its query parameters."""


def problems_of(operation: Operation) -> dict[int, list[str]]:
    """Return status → codes that an operation may answer with, in the order of the statuses."""
    codes = (*operation.problems, *(ANY_WITH_TOKEN if operation.security == "token" else ()), *ANY)
    found: dict[int, list[str]] = {}
    for code in sorted(codes, key=lambda code: int(PROBLEMS[code].status)):
        found.setdefault(int(PROBLEMS[code].status), []).append(code)
    return found
