"""Polls the HTTP API until customs has decided about every submitted declaration."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gateway.client import GatewayClient, ProblemView, Submitted
from gateway.errors import DeliveryError
from gateway.identity import identity
from gateway.model import Declaration
from gateway.views.api import AnswerView
from gateway.views.waiting import DeclarationOutcome, outcome_of

_POLL_S: Final = 20


class DecisionWait:
    """The declarations of some submissions, and the answers about them so far."""

    def __init__(self, client: GatewayClient, submitted: Iterable[Submitted]) -> None:
        self._client = client
        self._answers: dict[str, dict[tuple[str, int], AnswerView]] = {}
        self._known: list[str] = []
        """Names of declarations accepted in an earlier run: their answers may lie before the acknowledged cursor."""
        for one in submitted:
            for declaration in one.message.declarations:
                name = _name(one.message.message_type, declaration.key)
                self._answers[name] = {}
                if not one.first:
                    self._known.append(name)

    def until_decided(self, timeout_s: float) -> None:
        """Fetch receipts until every declaration is decided or the time is over. Raises DeliveryError."""
        until = time.monotonic() + timeout_s
        for name in self._known:
            self._look_up(name)
        cursor: int | None = None
        while "open" in self.outcomes() and (left := until - time.monotonic()) > 0:
            page = self._client.receipts(after=cursor, wait_s=min(_POLL_S, int(left) + 1))
            if isinstance(page, ProblemView):
                raise DeliveryError(
                    f"the gateway gives no receipts: {page.status} {page.title}", fix="see the gateway's log"
                )
            cursor = page.cursor
            for receipt in page.receipts:
                for answer in receipt.bodies:
                    self._take(answer)

    def outcome(self, message_type: str, key: Mapping[str, str]) -> DeclarationOutcome:
        """Return what customs decided about a declaration: the newest deciding answer counts."""
        return outcome_of(self._answers.get(_name(message_type, key), {}).values())

    def outcomes(self) -> list[DeclarationOutcome]:
        """Return what customs decided about each declaration."""
        return [outcome_of(answers.values()) for answers in self._answers.values()]

    def all_accepted(self) -> bool:
        """Return whether every declaration was accepted."""
        return set(self.outcomes()) <= {"accepted"}

    def answers(self, message_type: str, key: Mapping[str, str]) -> list[AnswerView]:
        """Return the answers about a declaration in the order of customs' own time."""
        return sorted(
            self._answers.get(_name(message_type, key), {}).values(), key=lambda answer: answer.time
        )

    def _look_up(self, name: str) -> None:
        message_type, _, key = name.partition(" ")
        found = self._client.declaration(message_type, key)
        if not isinstance(found, ProblemView):
            for answer in found.answers:
                self._take(answer)

    def _take(self, answer: AnswerView) -> None:
        for name in _names(answer):
            if name in self._answers:
                self._answers[name][answer.receipt, answer.index] = answer


def _names(answer: AnswerView) -> Iterator[str]:
    return (_name(declaration.type, declaration.key) for declaration in answer.declarations)


def _name(message_type: str, key: Mapping[str, str]) -> str:
    return identity(Declaration(message_type=message_type, key=key))
