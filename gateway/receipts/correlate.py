"""Finds the owner of each receipt body by business key and customs' numbers, never by guid.

Customs makes up its own guid for a receipt, so only what the enterprise declared (its key) and what
customs assigned earlier (its numbers) can lead back (docs/spec/messages.md, Correlating a receipt). The
look-up texts made here are what the spool's index stores; an answer goes to one owner or to nobody.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from gateway.config.local_receivers import NOBODY, LocalReceivers
from gateway.identity import lookup_text
from gateway.model import Answer, Layer, MessageType
from gateway.receipts.ownership import UNKNOWN, Candidate, Fitting, Match, Question, Unmatched, correlate
from gateway.rules.catalogue import Catalogue

Find = Callable[[Sequence[str]], Iterable[Candidate]]
"""Returns all candidates that look-up texts lead to; of each declaration the newest version last."""


def lookups(answer: Answer, catalogue: Catalogue) -> tuple[str, ...]:
    """Return the texts to look an answer's declaration up by, strongest first: keys, handles, numbers.

    Empty for DxpRep and CEB900, which refer to the envelope's CopMsgId, and for unknown receipts.
    """
    return tuple(dict.fromkeys(text for texts in _tiers(answer, catalogue) for text in texts))


def match(
    question: Question, catalogue: Catalogue, find: Find, local_receivers: LocalReceivers = NOBODY
) -> Match | Unmatched:
    """Look up one answer and choose its owner, as `correlate` does among all candidates."""
    return match_all([question], catalogue, find, local_receivers)[0]


def match_all(
    questions: Sequence[Question], catalogue: Catalogue, find: Find, local_receivers: LocalReceivers = NOBODY
) -> list[Match | Unmatched]:
    """Look up all answers together, and choose for each separately, as `match`.

    What is weaker is looked up only where nothing stronger decides: nearly every answer has the whole key. What
    nothing leads to may be led to by a number that another of these answers teaches: a 816 comes milliseconds
    after the 622 that gives its invtNo (docs/spec/messages.md, Correlating 6).
    """
    outcomes: list[Match | Unmatched] = [UNKNOWN] * len(questions)
    answered = {name: catalogue.for_answer(name) for name in {one.answer.message_type for one in questions}}
    left = [place for place, one in enumerate(questions) if one.answer.layer is Layer.BUSINESS]
    fitting = {place: Fitting(questions[place], local_receivers) for place in left}
    for tier in _TIERS:
        askers: dict[str, dict[int, None]] = {}
        for place in left:
            answer = questions[place].answer
            for text in tier(answer, answered[answer.message_type]):
                askers.setdefault(text, {})[place] = None
        if not askers:
            continue
        led: set[int] = set()
        for candidate in find(list(askers)):
            for place in askers[candidate.found_by]:
                fitting[place].add(candidate)
                led.add(place)
        for place in led:
            outcomes[place] = fitting[place].choose()
        left = [place for place in left if not isinstance(outcomes[place], Match)]
    left = [place for place in left if outcomes[place] is UNKNOWN]
    if left:
        _match_by_each_other(questions, outcomes, answered, left, local_receivers)
    return outcomes


def _match_by_each_other(
    questions: Sequence[Question],
    outcomes: list[Match | Unmatched],
    answered: Mapping[str, tuple[MessageType, ...]],
    left: list[int],
    local_receivers: LocalReceivers,
) -> None:
    """Match the answers in `left` by numbers that matched answers teach, as if those had been filed first."""
    left = [place for place in left if questions[place].answer.numbers]
    teachers = list(range(len(questions))) if left else []
    taught: dict[str, dict[int, Candidate]] = {}
    while teachers and left:
        for place in teachers:
            _teach(taught, questions[place].answer, outcomes[place])
        teachers = []
        for place in left:
            answer = questions[place].answer
            texts = _by_number(answer, answered[answer.message_type])
            candidates = [one for text in texts for one in taught.get(text, {}).values()]
            outcomes[place] = correlate(questions[place], candidates, local_receivers)
            if isinstance(outcomes[place], Match):
                teachers.append(place)
        left = [place for place in left if outcomes[place] is UNKNOWN]


def _teach(taught: dict[str, dict[int, Candidate]], answer: Answer, outcome: Match | Unmatched) -> None:
    if isinstance(outcome, Match):
        for one in outcome.candidates:
            for text in learned(answer, one.message_type):
                taught.setdefault(text, {})[one.ref] = replace(one, found_by=text, claimed=False)


def learned(answer: Answer, declared_type_name: str) -> tuple[str, ...]:
    """Return the texts of the numbers that an answer teaches, to index for the declaration it matched.

    816 and 818 carry only invtNo, 792 only sumNo (docs/spec/messages.md, Correlating 4).
    """
    return tuple(lookup_text(declared_type_name, [pair]) for pair in answer.numbers.items())


def _tiers(answer: Answer, catalogue: Catalogue) -> Iterator[tuple[str, ...]]:
    """Yield the look-up texts in groups of equal strength: by key, by handle, by number."""
    if answer.layer is Layer.BUSINESS:
        answered = catalogue.for_answer(answer.message_type)
        for texts in _TIERS:
            yield tuple(dict.fromkeys(texts(answer, answered)))


def _by_key(answer: Answer, answered: Iterable[MessageType]) -> Iterator[str]:
    key = answer.key
    for kind in answered:
        if kind.key and key.keys() >= set(kind.key):
            yield lookup_text(kind.name, [(name, key[name]) for name in kind.key])
            if not kind.integers.isdisjoint(kind.key):  # spools of earlier versions have the text as written
                yield lookup_text(
                    kind.name, [(name, answer.fields.get(name) or key[name]) for name in kind.key]
                )


def _by_handle(answer: Answer, answered: Iterable[MessageType]) -> Iterator[str]:
    for kind in answered:
        if kind.handle and kind.handle in answer.key:
            yield lookup_text(kind.name, [(kind.handle, answer.key[kind.handle])])


def _by_number(answer: Answer, answered: Iterable[MessageType]) -> Iterator[str]:
    for kind in answered:
        for name in kind.numbers:
            if name in answer.numbers:
                yield lookup_text(kind.name, [(name, answer.numbers[name])])


_TIERS: Final = (_by_key, _by_handle, _by_number)
