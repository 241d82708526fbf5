"""Logs as events: one JSON object a line on stdout, names from one table, nothing personal (docs/events.md).

Bodies, keys, names and numbers of people are never passed to the log; redaction here is the second
line of defence, not the first.
"""

import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from select import PIPE_BUF
from typing import Any, Final, Literal

import msgspec
import structlog

from gateway.printable import escaped, safe_json

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSpec:
    """What an event name means to an operator."""

    level: Level
    meaning: str
    do: str = ""
    """What the operator should do; empty for nothing."""


EVENTS: Final[Mapping[str, EventSpec]] = {
    "node.started": EventSpec(level="info", meaning="the supervisor has started every role"),
    "node.listening": EventSpec(level="info", meaning="the HTTP door is open at `address`"),
    "node.draining": EventSpec(level="info", meaning="asked to stop; roles finish what they hold"),
    "node.stopped": EventSpec(level="info", meaning="every role has ended"),
    "node.reloaded": EventSpec(level="info", meaning="configuration and enterprises were read again"),
    "node.reload_failed": EventSpec(
        level="error",
        meaning="the new configuration cannot be used; the old one stays in force",
        do="mend it; SIGHUP again, which a change in the folder of enterprises does not need",
    ),
    "config.left_out": EventSpec(
        level="error",
        meaning="an enterprise, channel, door or mapping (`kind`, `part`) cannot be used; the node goes on without it, what"
        " waits for it stays",
        do="`error` says what to mend; a change in the folder of enterprises is taken up by itself, else SIGHUP",
    ),
    "role.started": EventSpec(level="info", meaning="a role process runs"),
    "role.stopped": EventSpec(level="info", meaning="a role process ended as asked"),
    "role.restarted": EventSpec(
        level="warning", meaning="a role process died and was started again", do="look at the lines before it"
    ),
    "role.hung": EventSpec(
        level="error",
        meaning="a role has been silent for `silent_s`; it is killed and started again",
        do="when it does not stop, report it with the lines before it; a storage that stalls does the same",
    ),
    "judge.killed": EventSpec(
        level="warning",
        meaning="an input took more `processor`, `time` or `memory` (`reason`) than one may, and ended its judge; its"
        " sender was told `too-expensive`",
        do="`message.refused` or `receipt.orphaned` says whose it was; [judges] has the limits",
    ),
    "role.failed": EventSpec(
        level="error",
        meaning="a role met an error it cannot answer and ends",
        do="the error says what to mend",
    ),
    "metrics.unavailable": EventSpec(
        level="warning",
        meaning="the counters of a process do not reach `/metrics`, or `/metrics` cannot read the counters of the roles",
        do="`error` says why; the role needs free space in the folder `metrics` of `state_dir` when it starts again",
    ),
    "request.failed": EventSpec(
        level="error",
        meaning="a request or a message met a defect; the caller was told `internal-error`. One and the same is told"
        " once a minute, `times` counts since the last line",
        do="report it with its `trace`",
    ),
    "thread.failed": EventSpec(
        level="error",
        meaning="a thread of a role met an error it cannot answer and ended; told as `request.failed` is",
        do="report it with its `trace`",
    ),
    "library.warned": EventSpec(
        level="warning",
        meaning="a library we use had to say something, about a malformed request for instance; lines of one kind once"
        " a minute, `times` counts since the last",
    ),
    "connection.refused": EventSpec(
        level="warning",
        meaning="`refused` connections found no place, the last from `address`; `limit` says whether one address or all"
        " together have too many; said once a minute",
        do="look who it is; accept.max_connections, accept.max_connections_per_address; trusted_proxies for a proxy",
    ),
    "descriptors.exhausted": EventSpec(
        level="error",
        meaning="the process may open nothing more; new connections wait, those that are open go on",
        do="raise LimitNOFILE of the service, or lower accept.max_connections; see what else opens files",
    ),
    "login.failed": EventSpec(
        level="warning",
        meaning="a caller at `address` was not recognised or not let in; at most a line a minute for each address,"
        " `failures` counts since the last",
        do="when it does not stop, ask the enterprise, or close the way from there",
    ),
    "door.failed": EventSpec(
        level="warning",
        meaning="messages cannot be taken in, told or put away at the `door` of an enterprise for now; it is tried"
        " again by itself, and what was taken is safe",
        do="`error` says what to mend",
    ),
    "door.closed": EventSpec(
        level="warning",
        meaning="nothing is taken in at the `door` of an enterprise, `reason` says why; what is there waits there",
        do="as for `spool.watermark`",
    ),
    "door.opened": EventSpec(level="info", meaning="a `door` that was closed takes messages in again"),
    "door.answer_lost": EventSpec(
        level="error",
        meaning="the reply queue of an enterprise will never take an answer; the message itself is settled",
        do="`error` says why; tell the platform what `message.accepted` or `message.refused` says",
    ),
    "message.accepted": EventSpec(level="info", meaning="a message is in the spool, on disk"),
    "advice.given": EventSpec(
        level="info",
        meaning="customs is likely to object to an accepted message: `rules` and `severities` with how often each; its"
        " sender was told",
        do="nothing; when one rule is named again and again, ask the enterprise, or customs whether the rule still holds",
    ),
    "message.duplicate": EventSpec(
        level="info", meaning="the same bytes came again; the first answer was given"
    ),
    "message.refused": EventSpec(
        level="info", meaning="a message was not taken; `problem` and `rules` say why"
    ),
    "goods.replaced": EventSpec(
        level="info",
        meaning="an enterprise's `register` (`goods`, or `books`: its switches of account books) was handed in anew, with"
        " `rows` and `sha256`; it is in force at every door within seconds",
    ),
    "goods.dropped": EventSpec(
        level="info",
        meaning="an enterprise's `register` was taken back; nothing is compared with it any more",
    ),
    "import.taken": EventSpec(
        level="info",
        meaning="a source of many declarations is in the spool, on disk, with `size_bytes` and the names of its `mappings`",
    ),
    "import.ended": EventSpec(
        level="info",
        meaning="an import is over: `state` is `done`, `refused` (all or nothing, and something was not sound), `duplicate`"
        " (the same values came before), `failed` (by `problem`) or `cancelled`; `refused` declarations are in no message",
        do="nothing; its owner sees which and why",
    ),
    "import.paused": EventSpec(
        level="info",
        meaning="an import waits for `wait_s`: a quota of its enterprise is used up, or the queue of its key is too long",
        do="nothing, unless it goes on for long: then look at the quota and the key",
    ),
    "import.purged": EventSpec(
        level="info",
        meaning="so many `imports` were deleted with their sources: never completed, or over for longer than `retention.days`",
    ),
    "import.failed": EventSpec(
        level="error",
        meaning="an import cannot go on because of a defect of ours; it is tried again a few times",
        do="report it with the lines before it",
    ),
    "message.delivered": EventSpec(
        level="info", meaning="a message addressed to one of our own enterprises was put in its stream"
    ),
    "mail.full": EventSpec(
        level="warning",
        meaning="an enterprise has as much unread mail of others as it takes; senders are answered 2001, and no copies are"
        " made for it",
        do="ask it to acknowledge what it has read, or see who floods it: mail_from, mail_messages, mail_bytes",
    ),
    "message.answered": EventSpec(
        level="warning",
        meaning="a link brought a message for a receiver nobody knows; a DxpRep goes back over that link",
        do="register the enterprise that should have it, or tell the sender",
    ),
    "entry.sent": EventSpec(level="info", meaning="the destination confirmed the message"),
    "entry.deferred": EventSpec(
        level="warning", meaning="an attempt failed; the next one is at `next_attempt_at`"
    ),
    "entry.bounced": EventSpec(
        level="warning",
        meaning="an answer of the exchange, `error`, asks for the message once more; it goes at `next_attempt_at`",
        do="nothing; when it does not stop, ask the exchange what is wrong there",
    ),
    "entry.dead": EventSpec(
        level="error",
        meaning="no further attempt will be made",
        do="mend what `error` names, then `gateway spool retry ID`",
    ),
    "entry.postponed": EventSpec(
        level="warning",
        meaning="the key that has to sign it cannot now, or its claim was over before it was sent; tried again at"
        " `next_attempt_at`, no attempt is counted",
        do="where `error` names the claim: the line is slow, or the process was stopped; see `gateway check`",
    ),
    "key.quarantined": EventSpec(
        level="warning",
        meaning="a signing key does not answer or fails; it is left alone, then probed, longer each time",
        do="`error` says what to mend; what needs no such key goes on",
    ),
    "key.locked": EventSpec(
        level="error",
        meaning="a device refused its PIN; it is not tried again by itself",
        do="write the right PIN into its file, then SIGHUP: a card locks itself after a few wrong ones",
    ),
    "key.restored": EventSpec(level="info", meaning="a key that was in quarantine signs again"),
    "destination.down": EventSpec(
        level="warning",
        meaning="a whole batch failed; the destination is left alone for a while, then probed with one entry",
        do="`error` says what to mend",
    ),
    "destination.up": EventSpec(level="info", meaning="a destination that was down takes entries again"),
    "receipt.received": EventSpec(level="info", meaning="answers of customs were collected and are on disk"),
    "receipt.matched": EventSpec(
        level="info", meaning="an answer was put on the timeline of its declaration"
    ),
    "receipt.duplicate": EventSpec(level="info", meaning="an answer that was known already came again"),
    "receipt.orphaned": EventSpec(
        level="warning",
        meaning="an answer nobody was found for; it is kept",
        do="`gateway receipts orphans` shows it",
    ),
    "code.unknown": EventSpec(
        level="info",
        meaning="customs used a code that no table explains; told once",
        do="`gateway codes show CODE`; what it means may be added to `mappings/codes.toml` of a `rules_dir`",
    ),
    "declaration.overdue": EventSpec(
        level="warning",
        meaning="`declarations` of a message have no answer of `layer` after the time that is usual, `usual_s`; told once",
        do="`gateway trace MESSAGE_ID`; if many are, ask the exchange or customs whether they are behind",
    ),
    "parcel.mismatched": EventSpec(
        level="info",
        meaning="a document does not agree with another of its parcel, by these `rules`; told once for each version",
        do="`gateway trace MESSAGE_ID` shows which field, and who has to act",
    ),
    "feed.failed": EventSpec(
        level="warning", meaning="answers cannot be collected for now", do="`error` says what to mend"
    ),
    "notice.delivered": EventSpec(
        level="info",
        meaning="an enterprise has acknowledged its answers up to `cursor`, or every channel of it has delivered them",
    ),
    "notice.sent": EventSpec(level="info", meaning="a channel of an enterprise took an answer"),
    "notice.deferred": EventSpec(
        level="warning",
        meaning="a channel did not take an answer; it is tried again at `next_attempt_at`",
    ),
    "notice.dead": EventSpec(
        level="error",
        meaning="no further attempt will be made to deliver this answer on this channel",
        do="see to what `error` names, then `gateway spool retry ID`; the enterprise can fetch it by HTTP meanwhile",
    ),
    "channel.down": EventSpec(
        level="warning",
        meaning="a channel of an enterprise fails; it is left alone for a while, then probed with one answer",
        do="`error` says what to mend; no other channel is held up",
    ),
    "channel.up": EventSpec(level="info", meaning="a channel that was down takes answers again"),
    "channel.gone": EventSpec(
        level="error",
        meaning="a webhook answered 410: nothing is sent to it any more, its answers wait",
        do="ask the enterprise; change or remove the channel in its file, then SIGHUP, which also tries it again",
    ),
    "lease.expired": EventSpec(level="warning", meaning="claims of a silent process were made ready again"),
    "claims.left": EventSpec(
        level="info",
        meaning="a reload left `entries` to the processes that have them in hand; nothing is lost and no attempt is counted",
    ),
    "clock.set_back": EventSpec(
        level="warning",
        meaning="`entries` waited for a time that a clock ahead of this one had set; they go now",
        do="see to the time service of the node, or of the database's host",
    ),
    "certificate.expiring": EventSpec(
        level="warning",
        meaning="a signing certificate ends within 90, 30, 14, 7 or 1 days (`within_days`; 0: it has ended);"
        " told once a day",
        do='get a new one and put it beside the old: kind = "rotation"',
    ),
    "login.expiring": EventSpec(
        level="warning",
        meaning="a token or HMAC key (`kind`) of an enterprise ends within 90, 30, 14, 7 or 1 days (`within_days`; 0: it"
        " has ended); told once a day",
        do="give the enterprise another: `gateway enterprise rotate-token`, or a second [[hmac]]",
    ),
    "spool.unavailable": EventSpec(
        level="error",
        meaning="the spool could not do what a request needed, and the caller was asked to come again; or a role waits for it",
        do="`error` says what to mend, or who keeps a lock",
    ),
    "spool.tidy_failed": EventSpec(
        level="warning",
        meaning="the write-ahead log of the spool could not be emptied; it grows meanwhile, nothing is lost",
        do="`error` says what to mend; it is tried again every second",
    ),
    "spool.watermark": EventSpec(
        level="warning",
        meaning="the spool has crossed the watermark `mark`; with `refuses` new messages are answered 503",
        do="free disk space, or see why the destinations do not take what waits; nothing accepted is lost",
    ),
    "spool.watermark_cleared": EventSpec(
        level="info", meaning="the spool is on the right side of `mark` again"
    ),
    "spool.purged": EventSpec(level="info", meaning="old messages were archived and have left the spool"),
    "spool.purge_failed": EventSpec(
        level="error",
        meaning="old messages could not be archived or purged; nothing was lost",
        do="`error` says what to mend; it is tried again within the hour",
    ),
    "signer.listening": EventSpec(level="info", meaning="the remote signer is open at `address`"),
    "signer.signed": EventSpec(
        level="info", meaning="a client of the remote signer got a signature of bytes with this `sha256`"
    ),
    "signer.refused": EventSpec(
        level="warning",
        meaning="a connection or request at the remote signer got no signature, `reason` says why; lines of one kind once"
        " a minute, `times` counts since the last",
        do="when it does not stop: ask whoever runs the client, or close the way from `address`",
    ),
    "journal.sealed": EventSpec(
        level="info", meaning="`events` lines of the journal got their places in the log; it has `size` now"
    ),
    "journal.seal_failed": EventSpec(
        level="error",
        meaning="the log could not be continued; nothing was lost, proofs wait",
        do="`error` says what to mend; it is tried again within a minute",
    ),
    "log.lost": EventSpec(
        level="warning",
        meaning="`lines` of this process could not be written until a moment ago: the disk of the log was full, or nobody read it",
        do="free disk space; what happened to messages is in the journal (`gateway trace`)",
    ),
    "simulator.listening": EventSpec(level="info", meaning="the simulated customs side is open at `address`"),
}

_PERSONAL: Final = re.compile(
    r"name$|buyer|consignee|telephone|idnumber|idtype|address$|token|password|secret|body$",
    re.IGNORECASE,
)
_ALLOWED: Final = frozenset({"address", "file_name", "key_name"})
_NUMBERS: Final = re.compile(r"(?<!\d)(?:1\d{10}|\d{17}[\dXx]|\d{15})(?!\d)")
_FREE_TEXT: Final = frozenset({"error", "reason", "fix", "where", "trace"})
_GONE: Final = "[redacted]"
_encode = msgspec.json.Encoder(enc_hook=str).encode


def configure_logs(level: Level) -> None:
    """Write events of this level and above to stdout."""
    structlog.configure(
        processors=[_render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _LINES,
        cache_logger_on_first_use=False,
    )
    _logger.cache_clear()


def reset_logs() -> None:
    """Undo `configure_logs`."""
    structlog.reset_defaults()
    _logger.cache_clear()


def log(event: str, **fields: object) -> None:
    """Log one event at its level in the table; an unknown name is a defect (KeyError)."""
    getattr(_logger(), EVENTS[event].level)(event, **fields)


@cache
def _logger() -> Any:
    """Return the logger, bound once: in structlog the look-up takes longer than writing a line."""
    return structlog.get_logger().bind()


@contextmanager
def gathered() -> Iterator[None]:
    """Write the lines of the block together at its end: one write per line costs more than making the line.

    For one thread, and only for a short time: if the process is killed inside, the lines are lost.
    """
    _LINES.hold()
    try:
        yield
    finally:
        _LINES.let_go()


class _Lines:
    """Writes whole lines to stdout, in writes that other processes cannot interleave (`man 7 pipe`, PIPE_BUF).

    A failed write does not stop the caller: on a full disk lost lines are counted, and reported (`log.lost`) as soon
    as a line can be written again.
    """

    def __init__(self) -> None:
        self._lost = 0
        self._held: list[bytes] = []
        self._holders = 0

    def msg(self, line: bytes) -> None:
        """Write a line, or keep it while `hold` is in effect."""
        if self._holders:
            self._held.append(line)
        else:
            self._put([line])

    debug = info = warning = error = msg  # the names that structlog calls

    def hold(self) -> None:
        """Keep lines until `let_go` has been called as often as `hold`."""
        self._holders += 1

    def let_go(self) -> None:
        """Undo one `hold`; the last one writes the lines."""
        self._holders -= 1
        if self._holders or not self._held:
            return
        lines, self._held = self._held, []
        together: list[bytes] = []
        size = 0
        for line in lines:
            size += len(line) + 1
            if size > PIPE_BUF and together:
                self._put(together)
                together, size = [], len(line) + 1
            together.append(line)
        self._put(together)

    def _put(self, lines: Sequence[bytes]) -> None:
        first = (b"",) if self._lost else ()  # the line before may have been cut
        try:
            _write(b"\n".join((*first, *lines, b"")))
        except (OSError, ValueError):
            self._lost += len(lines)
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            log("log.lost", lines=lost)


_LINES: Final = _Lines()


def _write(whole_lines: bytes) -> None:
    """Write without a buffer, which would keep unwritten bytes. Raises OSError, and ValueError if stdout is closed."""
    out = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    left = whole_lines
    while left:
        written = out.write(left)
        if not written:
            raise BlockingIOError
        left = left[written:]
    out.flush()


def _render(logger: object, method: str, line: MutableMapping[str, Any]) -> bytes:
    """Complete and redact an event, and encode it as JSON; all in one processor, for speed."""
    line["level"] = method
    line["time"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    said = redact(logger, method, line)
    try:
        return safe_json(_encode(said))
    except UnicodeEncodeError:  # a name with bytes that are not UTF-8
        return safe_json(_encode({key: escaped(str(value)) for key, value in said.items()}))


def redact(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact what must never be logged: personal fields by name, numbers of persons in free text."""
    for key in _watched(tuple(line)):
        value = line[key]
        if key not in _FREE_TEXT:
            line[key] = _GONE
        elif isinstance(value, str):
            line[key] = _NUMBERS.sub(_GONE, value)
    return line


@lru_cache(maxsize=1024)
def _watched(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys that `redact` has to check."""
    return tuple(key for key in keys if key in _FREE_TEXT or _is_personal(key))


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
