"""Compares what two worlds answer to the same question: equal, or different as an oracle says it may be."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any, Final

from tests.parcel_oracle import Declared, Oracle, Told
from tests.two_worlds import Answer, Request

_PARCEL, _TIMELINE = "getParcel", "getDeclaration"
_AROUND: Final = 300
"""Characters of an answer that are shown around the first difference."""


class LeakError(AssertionError):
    """An answer says something of the victims that it may not say."""


@dataclass(frozen=True, kw_only=True)
class Differ:
    """Compares answers, each without what is random by design."""

    oracles: tuple[Oracle, Oracle]
    texts: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """Type, rule and path → what advice says of it, always and everywhere."""

    def compare(self, request: Request, answers: tuple[Answer, Answer], now: datetime) -> Counter[str]:
        """Compare two answers. Raises LeakError.

        Counts the documents that are shown: `alone` when the enterprise is acquainted with nothing of others in either world though
        something is there in one, `differing` where marks differ as they may, `limited`, and `equal` otherwise.
        """
        first, second = answers
        expected = [self._expected(request, one, world, now) for world, one in enumerate(answers)]
        if _but_marks(request, first) != _but_marks(request, second):
            raise LeakError(_difference(request, first, second))
        for world, answer in enumerate(answers):
            shown = _shown(request, answer)
            if shown != expected[world]:
                raise LeakError(f"{_named(request)} in world {world}:\n{shown}\nis not\n{expected[world]}")
            self._check_texts(request, answer)
        if expected[0] == expected[1] and first != second:
            raise LeakError(_difference(request, first, second))
        return self._counted(request, answers, expected)

    def _expected(self, request: Request, answer: Answer, world: int, now: datetime) -> list[Told]:
        asked, oracle = self._asked(request, answer, world), self.oracles[world]
        around = oracle.around(asked)
        told = [oracle.told(one, around, now) for one in asked]
        if request.operation.id == _TIMELINE and answer.status == 200:
            return [Told(matching=tuple(said for one in told for said in one.matching))]
        return told

    def _asked(self, request: Request, answer: Answer, world: int) -> list[Declared]:
        """Return the documents that an answer is about."""
        if answer.status != 200 or request.operation.id not in {_PARCEL, _TIMELINE}:
            return []
        document = answer.json()
        named = document["documents"] if request.operation.id == _PARCEL else document["declarations"]
        newest = {(one.owner, one.key): one for one in self.oracles[world].newest()}
        return [newest[request.who, _key(one)] for one in named]

    def _check_texts(self, request: Request, answer: Answer) -> None:
        for said in _advice(request, answer):
            rest = {name: value for name, value in said.items() if name != "key"}
            if said["rule"].endswith("-missing"):  # names the own number and time
                del rest["message"], rest["message_zh"]
            text = json.dumps(rest, ensure_ascii=False)
            known = self.texts.setdefault((said["type"], said["rule"], said["path"]), text)
            if text != known:
                raise LeakError(f"{_named(request)}:\n{text}\nis not what is said elsewhere:\n{known}")

    def _counted(
        self,
        request: Request,
        answers: tuple[Answer, Answer],
        expected: Sequence[Sequence[Told]],
    ) -> Counter[str]:
        if request.operation.id != _PARCEL:
            return Counter()
        asked = [self._asked(request, one, world) for world, one in enumerate(answers)]
        return Counter(
            self._kind((ours, theirs), told, asked)
            for ours, theirs, *told in zip(*asked, *expected, strict=True)
        )

    def _kind(
        self, one: tuple[Declared, Declared], told: Sequence[Told], asked: Sequence[Sequence[Declared]]
    ) -> str:
        if told[0].limited:
            return "limited"
        if told[0] != told[1]:
            return "differing"
        alone = all(
            {other.owner for other in oracle.known(mine, oracle.around(there))} <= {mine.owner}
            for oracle, mine, there in zip(self.oracles, one, asked, strict=True)
        )
        hidden = any(oracle.of_others(mine) for oracle, mine in zip(self.oracles, one, strict=True))
        return "alone" if alone and hidden else "equal"


def _key(named: dict[str, Any]) -> str:
    return " ".join((named["type"], *(f"{name}={value}" for name, value in named["key"].items())))


def _shown(request: Request, answer: Answer) -> list[Told]:
    """Read what an answer tells."""
    if answer.status != 200:
        return []
    match request.operation.id:
        case "getDeclaration":
            said = _advice(request, answer)
            return [Told(matching=tuple((one["rule"], one["element"]) for one in said))]
        case "getParcel":
            return [_told(one["compared"]) for one in answer.json()["documents"]]
        case _:
            return []


def _told(compared: dict[str, Any]) -> Told:
    return Told(
        limited=compared["limited"],
        matches=tuple(
            (one["field"], one["against"], one["rule"], one["match"]) for one in compared["matches"]
        ),
        others=tuple((one["kind"], one["present"], one["age_s"]) for one in compared["others"]),
        matching=tuple((one["rule"], one["element"]) for one in compared["matching"]),
    )


def _advice(request: Request, answer: Answer) -> list[dict[str, Any]]:
    if answer.status != 200 or request.operation.id not in {_PARCEL, _TIMELINE}:
        return []
    document = answer.json()
    if request.operation.id == _TIMELINE:
        return list(document["matching"])
    return [said for one in document["documents"] for said in one["compared"]["matching"]]


def _but_marks(request: Request, answer: Answer) -> Answer:
    """Return an answer without what an oracle has to say of, and without its length, which follows from that."""
    if answer.status != 200 or request.operation.id not in {_PARCEL, _TIMELINE}:
        return answer
    document = answer.json()
    if request.operation.id == _TIMELINE:
        del document["matching"]
    else:
        for one in document["documents"]:
            del one["compared"]
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return Answer(status=answer.status, headers=headers, body=json.dumps(document).encode())


def _named(request: Request) -> str:
    return f"{request.who}: {request.operation.method.upper()} {request.target}"


def _difference(request: Request, first: Answer, second: Answer) -> str:
    at = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first.body, second.body, strict=False))
    )
    parts = [
        one.body[max(0, at - _AROUND) : at + _AROUND].decode("utf-8", "replace") for one in (first, second)
    ]
    return f"{_named(request)}\n{first.status} {first.headers}\n{second.status} {second.headers}\n{parts[0]}\n---\n{parts[1]}"
