"""What cured a refusal: which version of a declaration was refused with a code, and which later one was accepted."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model import CodeClass

GOOD = frozenset({CodeClass.ACCEPTED, CodeClass.FINAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHeard:
    """One answer about one declaration, in the order of filing."""

    kind: CodeClass
    version: str
    """Id of the message that it answers."""
    codes: tuple[str, ...] = ()
    """Of a refusal: what it was refused with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cure:
    """A code that a declaration was refused with, and was rid of."""

    code: str
    refused: str
    """Id of the last message that was refused with it."""
    accepted: str
    """Id of the message that was accepted."""


def cures_by_last(heard: Sequence[AnswerHeard]) -> tuple[Cure, ...]:
    """Return the cures that the last of these answers completes; all cures of a declaration, taken answer by answer.

    The version that counts is the last that was refused with the code: what changed after it is nearest to the
    cure. A version that is accepted after all, unchanged, was cured by nothing.
    """
    if not heard or heard[-1].kind not in GOOD:
        return ()
    pending: dict[str, str] = {}
    for one in heard[:-1]:
        if one.kind is CodeClass.REFUSED:
            pending |= dict.fromkeys(one.codes, one.version)
        elif one.kind in GOOD:
            pending = {}
    accepted = heard[-1].version
    return tuple(
        Cure(code=code, refused=version, accepted=accepted)
        for code, version in pending.items()
        if version != accepted
    )


def first_of(heard: Sequence[AnswerHeard]) -> tuple[str, ...]:
    """Return the codes of the last of these answers that no earlier one had: the declaration counts for them now."""
    if not heard:
        return ()
    known = {code for one in heard[:-1] for code in one.codes}
    return tuple(code for code in heard[-1].codes if code not in known)
