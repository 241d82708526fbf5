"""One portion of a source: judged as any message, less and less of it until what is left is sound."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from msgspec import structs

from gateway.identity import identity
from gateway.mapping.translated import Translated
from gateway.mapping.translation import Body, Translation
from gateway.model import Enterprise, Fault
from gateway.submission.intake import ExaminedSubmission, blocked_by, conflict_fault
from gateway.submission.pipeline import Refusal
from spool.entry import Conflict

_NUMBERED: Final = re.compile(r"^(/[^/]+/[^/\[]+)\[\d+\]")
"""Path of a body in a document: `/CEB621Message/Inventory[7]`."""
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
            self._leave_out(self._by_body(made, verdict.faults))

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

    def _by_body(self, made: Translated, faults: Sequence[Fault]) -> Mapping[int, Sequence[Fault]]:
        """Return the faults with their places in the source, by the ordinal of their body.

        Those of no body in particular are everybody's if there are no others. To find a place, a document is written
        again; so this is done for the bodies with faults, each alone.
        """
        found: dict[int, tuple[Body, list[Fault]]] = {}
        for fault in faults:
            body = self.translation.body_of(fault, self.bodies)
            if body is not None:
                found.setdefault(body.ordinal, (body, []))[1].append(_alone(fault))
        if not found:
            placed = made.located(faults)
            return {body.ordinal: placed for body in self.bodies}
        return {
            ordinal: self.translation.message([body]).located(its) for ordinal, (body, its) in found.items()
        }

    def _leave_out(self, found: Mapping[int, Sequence[Fault]]) -> None:
        self.refused += [(body, found[body.ordinal]) for body in self.bodies if body.ordinal in found]
        self.bodies = tuple([body for body in self.bodies if body.ordinal not in found])


def _alone(fault: Fault) -> Fault:
    """Return a fault as it would be if its body were alone in the message."""
    return replace(fault, path=_NUMBERED.sub(r"\1[1]", fault.path, count=1))


def _of_one(conflict: Conflict, name: str) -> Conflict:
    """Return the conflict of one declaration; of several, its uid is not known to be that of this one."""
    return structs.replace(
        conflict, identities=(name,), uid=conflict.uid if len(conflict.identities) == 1 else ""
    )
