"""Receipt bodies + what we know → whose they are: by business key, never by guid.

Customs makes up its own guid for a receipt, so only what the enterprise declared (its key) and what
customs assigned earlier (its numbers) can lead back (spec ceb/messages.md, Correlating a receipt). The
look-up texts made here are what the spool's index stores; an answer goes to one owner or to nobody.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import replace

from gateway.catalogue import Catalogue
from gateway.model import Answer, Declaration, EnterpriseId, Layer, MessageType

_BY_NUMBER: Final = 2
_SHORTEST_KEY: Final = 2
"""No key of the catalogue has fewer fields."""
_ESCAPED: Final = {"%": "%25", "=": "%3D", " ": "%20"}


class Candidate(Struct, frozen=True, kw_only=True):
    """A declaration that one of an answer's look-up texts led to."""

    ref: int
    """The spool's number of the declaration; means nothing here."""
    owner: EnterpriseId
    message_type: str
    found_by: str
    """The look-up text that led here."""
    key: Mapping[str, str]
    codes: Mapping[str, str]
    dxp_id: str
    """BaseTransfer.dxpId of the declaration: where customs' answers to it go."""
    subscribers: tuple[str, ...] = ()
    """DXP ids that get copies of the answers; nothing is judged by them."""


class Question(NamedTuple):
    """An answer whose declaration is looked for, and to whom its envelope was addressed."""

    answer: Answer
    receiver_ids: Collection[str]


class Match(Struct, frozen=True, kw_only=True):
    """The declaration answered: all its submissions, of one owner and one identity."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """Nobody gets it."""

    reason: Literal["unknown", "ambiguous"]
    """`unknown`: no candidate fits. `ambiguous`: more than one does, and a guess could hit a stranger."""


_UNKNOWN: Final = Unmatched(reason="unknown")


def identity(declaration: Declaration) -> str:
    """Name a declaration in one line: `CEB621Message agentCode=X copNo=Y`, fields in catalogue order.

    Equal for all submissions of one declaration. Every key of the catalogue has two fields or more; where
    fewer are given they name nothing by themselves, and the numbers given count too.
    """
    whole = len(declaration.key) >= _SHORTEST_KEY
    fields = declaration.key if whole else {**declaration.key, **declaration.numbers}
    return _text(declaration.message_type, fields.items())


def handles(declaration: Declaration, message_type: MessageType) -> tuple[str, ...]:
    """Give the shorter texts by which an answer may ask: the handle field, else the numbers declared.

    Numbers that an enterprise merely claims count only where it gave no key to go by; all others are
    learned from customs, so that nobody draws a stranger's answers by declaring its numbers.
    """
    if message_type.handle in declaration.key:
        return (
            _text(declaration.message_type, [(message_type.handle, declaration.key[message_type.handle])]),
        )
    if len(declaration.key) == len(message_type.key):
        return ()
    return tuple(
        _text(declaration.message_type, [(name, declaration.numbers[name])])
        for name in message_type.numbers
        if name in declaration.numbers
    )


def lookups(answer: Answer, catalogue: Catalogue) -> tuple[str, ...]:
    """Give the texts to look an answer's declaration up by, strongest first: keys, handles, numbers.

    Empty for DxpRep and CEB900, which refer to the envelope's CopMsgId, and for unknown receipts.
    """
    return tuple(dict.fromkeys(text for texts in _tiers(answer, catalogue) for text in texts))


def match(
    answer: Answer,
    catalogue: Catalogue,
    receiver_ids: Collection[str],
    find: Callable[[Sequence[str]], Sequence[Candidate]],
) -> Match | Unmatched:
    """Look an answer up and choose, as `correlate` does among all that its look-up texts lead to."""
    return match_all([Question(answer, receiver_ids)], catalogue, find)[0]


def match_all(
    questions: Sequence[Question],
    catalogue: Catalogue,
    find: Callable[[Sequence[str]], Sequence[Candidate]],
) -> list[Match | Unmatched]:
    """Look answers up and choose for each by itself, as `match`; all are looked up together.

    What is weaker is looked up only where nothing stronger fits: nearly every answer has the whole key. What
    nothing leads to may be led to by a number that another of these answers teaches: a 816 comes milliseconds
    after the 622 that gives its invtNo (spec ceb/messages.md, Correlating 6).
    """
    outcomes: list[Match | Unmatched] = [_UNKNOWN] * len(questions)
    answered = {name: catalogue.for_answer(name) for name in {one.answer.message_type for one in questions}}
    left = [place for place, one in enumerate(questions) if one.answer.layer is Layer.BUSINESS]
    for tier in _TIERS:
        askers: dict[str, dict[int, None]] = {}
        for place in left:
            answer = questions[place].answer
            for text in tier(answer, answered[answer.message_type]):
                askers.setdefault(text, {})[place] = None
        if not askers:
            continue
        found: dict[int, list[Candidate]] = {}
        for candidate in find(list(askers)):
            for place in askers[candidate.found_by]:
                found.setdefault(place, []).append(candidate)
        for place, candidates in found.items():
            outcomes[place] = correlate(questions[place].answer, candidates, questions[place].receiver_ids)
        left = [place for place in left if outcomes[place] is _UNKNOWN]
    if left:
        _match_by_each_other(questions, outcomes, answered, left)
    return outcomes


def _match_by_each_other(
    questions: Sequence[Question],
    outcomes: list[Match | Unmatched],
    answered: Mapping[str, tuple[MessageType, ...]],
    left: list[int],
) -> None:
    """Choose for those `left` by numbers that answers matched before teach, as if these had been filed first."""
    left = [place for place in left if questions[place].answer.numbers]
    teachers = list(range(len(questions))) if left else []
    taught: dict[str, dict[int, Candidate]] = {}
    while teachers and left:
        for place in teachers:
            _teach(taught, questions[place].answer, outcomes[place])
        teachers = []
        for place in left:
            answer, receiver_ids = questions[place]
            texts = _by_number(answer, answered[answer.message_type])
            candidates = [one for text in texts for one in taught.get(text, {}).values()]
            outcomes[place] = correlate(answer, candidates, receiver_ids)
            if isinstance(outcomes[place], Match):
                teachers.append(place)
        left = [place for place in left if outcomes[place] is _UNKNOWN]


def _teach(taught: dict[str, dict[int, Candidate]], answer: Answer, outcome: Match | Unmatched) -> None:
    if isinstance(outcome, Match):
        for one in outcome.candidates:
            for text in learned(answer, one.message_type):
                taught.setdefault(text, {})[one.ref] = replace(one, found_by=text)


def learned(answer: Answer, declared_type_name: str) -> tuple[str, ...]:
    """Give the texts of the numbers an answer taught us, to index for the declaration it matched.

    816 and 818 carry only invtNo, 792 only sumNo (spec ceb/messages.md, Correlating 4).
    """
    return tuple(_text(declared_type_name, [pair]) for pair in answer.numbers.items())


def correlate(
    answer: Answer, candidates: Sequence[Candidate], receiver_ids: Collection[str]
) -> Match | Unmatched:
    """Choose among the candidates; never guess between owners.

    Candidates that contradict the answer in a key field or code are out. Of the rest, those found by
    the whole key go before those found by handle, and these before those found by a number. If several
    owners remain, only those count to whose DXP id the envelope was addressed (Correlating 1); so it is
    for a number that was only claimed.
    """
    fitting = [
        candidate
        for candidate in candidates
        if not _contradicts(candidate, answer)
        and (candidate.dxp_id in receiver_ids or not _only_claimed(candidate, answer))
    ]
    if not fitting:
        return _UNKNOWN
    if len(fitting) == 1:
        return Match(candidates=tuple(fitting))
    ranks = {text: _rank(one, answer) for text, one in {one.found_by: one for one in fitting}.items()}
    best = min(ranks.values())
    chosen = [candidate for candidate in fitting if ranks[candidate.found_by] == best]
    if len({candidate.owner for candidate in chosen}) > 1:
        chosen = [candidate for candidate in chosen if candidate.dxp_id in receiver_ids]
    if len({(candidate.owner, _named(candidate)) for candidate in chosen}) != 1:
        return Unmatched(reason="ambiguous")
    return Match(candidates=tuple(chosen))


def _tiers(answer: Answer, catalogue: Catalogue) -> Iterator[tuple[str, ...]]:
    """Yield the look-up texts that are equally strong together: those of rank 0, of rank 1, of rank 2."""
    if answer.layer is Layer.BUSINESS:
        answered = catalogue.for_answer(answer.message_type)
        for texts in _TIERS:
            yield tuple(dict.fromkeys(texts(answer, answered)))


def _by_key(answer: Answer, answered: Iterable[MessageType]) -> list[str]:
    key = answer.key
    return [
        _text(kind.name, [(name, key[name]) for name in kind.key])
        for kind in answered
        if kind.key and key.keys() >= set(kind.key)
    ]


def _by_handle(answer: Answer, answered: Iterable[MessageType]) -> Iterator[str]:
    for kind in answered:
        if kind.handle and kind.handle in answer.key:
            yield _text(kind.name, [(kind.handle, answer.key[kind.handle])])


def _by_number(answer: Answer, answered: Iterable[MessageType]) -> Iterator[str]:
    for kind in answered:
        for name in kind.numbers:
            if name in answer.numbers:
                yield _text(kind.name, [(name, answer.numbers[name])])


_TIERS: Final = (_by_key, _by_handle, _by_number)


def _contradicts(candidate: Candidate, answer: Answer) -> bool:
    said, known = {**answer.codes, **answer.key}, {**candidate.codes, **candidate.key}
    return any([known.get(name, text) != text for name, text in said.items()])  # noqa: C419 (half the time)


def _only_claimed(candidate: Candidate, answer: Answer) -> bool:
    """A declaration without a key is the only one whose own numbers are looked up, see `handles`."""
    return len(candidate.key) < _SHORTEST_KEY and _rank(candidate, answer) == _BY_NUMBER


def _rank(candidate: Candidate, answer: Answer) -> int:
    """Tell by what it was found: 0 whole key, 1 handle, 2 number."""
    names = [part.partition("=")[0] for part in candidate.found_by.split(" ")[1:]]
    if any(name not in answer.key for name in names):
        return _BY_NUMBER
    return 0 if len(names) >= _SHORTEST_KEY else 1


def _named(candidate: Candidate) -> str:
    return _text(candidate.message_type, candidate.key.items())


def _text(message_type: str, fields: Iterable[tuple[str, str]]) -> str:
    parts = [f"{name}={value if value.isalnum() else _escape(value)}" for name, value in fields]
    return " ".join([message_type, *parts])


def _escape(value: str) -> str:
    """Percent-escape what has a meaning in these texts, and any other white space."""
    return "".join(_ESCAPED.get(char) or (f"%{ord(char):02X}" if char.isspace() else char) for char in value)


def parse_identity(text: str) -> tuple[str, dict[str, str]]:
    """Read what `identity` wrote: the message type and the fields with their values."""
    message_type, *fields = text.split(" ")
    pairs = [field.partition("=") for field in fields]
    if "%" not in text:  # nearly always
        return message_type, {name: value for name, _, value in pairs}
    return message_type, {name: unquote(value) for name, _, value in pairs}
