"""Logs as events: one JSON object a line on stdout, names from one table, nothing personal (DESIGN.md 8).

Bodies, keys, names and numbers of people are never handed to the log; redaction here is the second
line of defence, not the first.
"""

import re
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final, Literal

import msgspec
import structlog

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What an event name means to an operator."""

    level: Level
    meaning: str
    do: str = ""
    """What to do about it; empty when nothing needs doing."""


EVENTS: Final[Mapping[str, Event]] = {
    "node.started": Event(level="info", meaning="the supervisor has started every role"),
    "node.listening": Event(level="info", meaning="the HTTP door is open at `address`"),
    "node.draining": Event(level="info", meaning="asked to stop; roles finish what they hold"),
    "node.stopped": Event(level="info", meaning="every role has ended"),
    "node.reloaded": Event(level="info", meaning="configuration and enterprises were read again"),
    "node.reload_failed": Event(
        level="error",
        meaning="the new configuration cannot be used; the old one stays",
        do="mend it, SIGHUP again",
    ),
    "role.started": Event(level="info", meaning="a role process runs"),
    "role.stopped": Event(level="info", meaning="a role process ended as asked"),
    "role.restarted": Event(
        level="warning", meaning="a role process died and was started again", do="look at the lines before it"
    ),
    "role.failed": Event(
        level="error",
        meaning="a role met an error it cannot answer and ends",
        do="the error says what to mend",
    ),
    "request.failed": Event(
        level="error",
        meaning="an HTTP request met a defect; the caller got 500",
        do="report it with the trace",
    ),
    "message.accepted": Event(level="info", meaning="a message is in the spool, on disk"),
    "message.duplicate": Event(level="info", meaning="the same bytes came again; the first answer was given"),
    "message.refused": Event(level="info", meaning="a message was not taken; `problem` and `rules` say why"),
    "message.delivered": Event(
        level="info", meaning="a message addressed to one of our own enterprises was put in its stream"
    ),
    "message.answered": Event(
        level="warning",
        meaning="a link brought a message for a receiver nobody knows; a DxpRep goes back over that link",
        do="register the enterprise that should have it, or tell the sender",
    ),
    "entry.sent": Event(level="info", meaning="the destination confirmed the message"),
    "entry.deferred": Event(
        level="warning", meaning="an attempt failed; the next one is at `next_attempt_at`"
    ),
    "entry.bounced": Event(
        level="warning",
        meaning="an answer of the exchange, `error`, asks for the message once more; it goes at `next_attempt_at`",
        do="nothing; when it does not stop, ask the exchange what is wrong there",
    ),
    "entry.dead": Event(
        level="error",
        meaning="no further attempt will be made",
        do="mend what `error` names, then `gateway spool retry ID`",
    ),
    "entry.postponed": Event(
        level="warning",
        meaning="the key that has to sign it cannot now; tried again at `next_attempt_at`, no attempt is counted",
    ),
    "key.quarantined": Event(
        level="warning",
        meaning="a signing key does not answer or fails; it is left alone, then probed, longer each time",
        do="`error` says what to mend; what needs no such key goes on",
    ),
    "key.locked": Event(
        level="error",
        meaning="a device refused its PIN; it is not tried again by itself",
        do="write the right PIN into its file, then SIGHUP: a card locks itself after a few wrong ones",
    ),
    "key.restored": Event(level="info", meaning="a key that was in quarantine signs again"),
    "destination.down": Event(
        level="warning",
        meaning="a whole batch failed; the destination is left alone for a while, then probed with one entry",
        do="the `error` of the deferred entries says what to mend",
    ),
    "destination.up": Event(level="info", meaning="a destination that was down takes entries again"),
    "receipt.received": Event(level="info", meaning="answers of customs were collected and are on disk"),
    "receipt.matched": Event(level="info", meaning="an answer was put on the timeline of its declaration"),
    "receipt.duplicate": Event(level="info", meaning="an answer that was known already came again"),
    "receipt.orphaned": Event(
        level="warning",
        meaning="an answer nobody was found for; it is kept",
        do="`gateway receipts orphans` shows it",
    ),
    "feed.failed": Event(
        level="warning", meaning="answers cannot be collected for now", do="`error` says what to mend"
    ),
    "notice.delivered": Event(
        level="info", meaning="an enterprise has acknowledged its answers up to `cursor`"
    ),
    "lease.expired": Event(level="warning", meaning="claims of a silent process were made ready again"),
    "clock.set_back": Event(
        level="warning",
        meaning="`entries` waited for a time that a clock ahead of this one had set; they go now",
        do="see to the time service of the node, or of the database's host",
    ),
    "certificate.expiring": Event(
        level="warning",
        meaning="a signing certificate ends within 90, 30, 14, 7 or 1 days (`within_days`; 0: it has ended);"
        " told once a day",
        do='get a new one and put it beside the old: kind = "rotation"',
    ),
    "spool.unavailable": Event(
        level="error",
        meaning="the spool could not do what a request needed; the caller was asked to come again",
        do="`error` says what to mend",
    ),
    "spool.watermark": Event(
        level="warning",
        meaning="the spool has crossed the watermark `mark`; with `refuses` new messages are answered 503",
        do="free disk space, or see why the destinations do not take what waits; nothing accepted is lost",
    ),
    "spool.watermark_cleared": Event(level="info", meaning="the spool is on the right side of `mark` again"),
    "spool.purged": Event(level="info", meaning="old messages were archived and have left the spool"),
    "spool.purge_failed": Event(
        level="error",
        meaning="old messages could not be archived or purged; nothing was lost",
        do="`error` says what to mend; it is tried again within the hour",
    ),
    "signer.listening": Event(level="info", meaning="the remote signer is open at `address`"),
    "journal.sealed": Event(
        level="info", meaning="`events` lines of the journal got their places in the log; it has `size` now"
    ),
    "journal.seal_failed": Event(
        level="error",
        meaning="the log could not be continued; nothing was lost, proofs wait",
        do="`error` says what to mend; it is tried again within a minute",
    ),
    "simulator.listening": Event(level="info", meaning="the simulated customs side is open at `address`"),
}

_PERSONAL: Final = re.compile(
    r"name$|buyer|consignee|telephone|idnumber|idtype|address$|token|password|secret|body$",
    re.IGNORECASE,
)
_ALLOWED: Final = frozenset({"address", "file_name", "key_name"})
_NUMBERS: Final = re.compile(r"(?<!\d)(?:1\d{10}|\d{17}[\dXx]|\d{15})(?!\d)")
_FREE_TEXT: Final = frozenset({"error", "reason", "fix", "where"})
_GONE: Final = "[redacted]"


def configure_logs(level: Level) -> None:
    """Send events of this level and above to stdout."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            redact,
            structlog.processors.JSONRenderer(serializer=_encode),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=False,
    )
    _logger.cache_clear()


def reset_logs() -> None:
    """Undo `configure_logs`."""
    structlog.reset_defaults()
    _logger.cache_clear()


def log(event: str, **fields: object) -> None:
    """Log one event at the level that the table gives it; an unknown name is a defect (KeyError)."""
    getattr(_logger(), EVENTS[event].level)(event, **fields)


@cache
def _logger() -> Any:
    """Return the logger, bound once: structlog takes longer to find it than to write a line."""
    return structlog.get_logger().bind()


def redact(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out what must never be logged: personal fields by name, person's numbers in free text."""
    for key, value in line.items():
        if _is_personal(key):
            line[key] = _GONE
        elif key in _FREE_TEXT and isinstance(value, str):
            line[key] = _NUMBERS.sub(_GONE, value)
    return line


@lru_cache(maxsize=1024)
def _is_personal(key: str) -> bool:
    return key not in _ALLOWED and _PERSONAL.search(key) is not None


def event_table() -> str:
    """Return the Markdown table of all events, for docs/events.md."""
    lines = ["| event | level | meaning | what to do |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {event.level} | {event.meaning} | {event.do or '–'} |"
        for name, event in EVENTS.items()
    ]
    return "\n".join(lines) + "\n"


def _encode(line: MutableMapping[str, Any], **_: object) -> bytes:
    return msgspec.json.encode(line, enc_hook=str)
