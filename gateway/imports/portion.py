"""One portion of a source: judged as any message, less and less of it until what is left is sound."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from gateway.identity import identity
from gateway.mapping.translated import Translated
from gateway.mapping.translation import Body, Translation
from gateway.model import Enterprise, Fault
from gateway.submission.intake import ExaminedSubmission, blocked_by, conflict_fault
from gateway.submission.pipeline import Refusal
from spool.entry import Conflict

JudgeDocument = Callable[[bytes, Enterprise], ExaminedSubmission | Refusal]


@dataclass(slots=True)
class JudgedPortion:
    """What is sound of a portion, in one message, and what is not."""

    translation: Translation
    caller: Enterprise
    judge: JudgeDocument
    bodies: tuple[Body, ...]
    """In the message; fewer with each thing that is found."""
    refused: list[tuple[Body, Sequence[Fault]]] = field(default_factory=list)
    made: Translated | None = None
    ready: ExaminedSubmission | None = None
    """The message; None: nothing is left of the portion."""

    def look(self) -> None:
        """Judge what is left, and leave out what is not sound, until the rest is. Raises Refused."""
        self.made = self.ready = None
        while self.bodies:
            made = self.translation.message(self.bodies)
            verdict = self.judge(made.document, self.caller)
            if not isinstance(verdict, Refusal):
                verdict = blocked_by(verdict, self.caller) or verdict
            if not isinstance(verdict, Refusal):
                self.made, self.ready = made, verdict
                return
            self._leave_out(self._by_body(made.located(verdict.faults)))

    def contradicted(self, conflict: Conflict) -> None:
        """Leave out the declarations that a conflict names, or all when it names none, and look at the rest."""
        declared = () if self.ready is None else self.ready.header.declarations
        named = {
            body.ordinal: [conflict_fault(_of_one(conflict, name))]
            for body, one in zip(self.bodies, declared, strict=False)
            if (name := identity(one)) in conflict.identities
        }
        self._leave_out(named or {body.ordinal: [conflict_fault(conflict)] for body in self.bodies})
        self.look()

    def _by_body(self, faults: Sequence[Fault]) -> Mapping[int, Sequence[Fault]]:
        """Return the faults by the ordinal of their body; those of none in particular are everybody's if there are no others."""
        found: dict[int, list[Fault]] = {}
        for fault in faults:
            body = self.translation.body_of(fault, self.bodies)
            if body is not None:
                found.setdefault(body.ordinal, []).append(fault)
        return found or {body.ordinal: faults for body in self.bodies}

    def _leave_out(self, found: Mapping[int, Sequence[Fault]]) -> None:
        self.refused += [(body, found[body.ordinal]) for body in self.bodies if body.ordinal in found]
        self.bodies = tuple([body for body in self.bodies if body.ordinal not in found])


def _of_one(conflict: Conflict, name: str) -> Conflict:
    """Return the conflict of one declaration; of several, its uid is not known to be that of this one."""
    return structs.replace(
        conflict, identities=(name,), uid=conflict.uid if len(conflict.identities) == 1 else ""
    )
