"""The shape of a sample JSON document: which keys stand where, and which arrays hold declarations and lines."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.mapping.heads import compared

Steps = tuple[str, ...]
"""Keys from the top of the document, `*` for the members of an array."""
Names = Collection[str]
"""Names of one element, as `spelt_key` has them."""
_MEMBERS: Final = "*"
_DOCUMENT: Final[Steps] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """A text of the sample."""

    written: str
    """As a mapping names it: `buyer/name` from its item, `/sender/code` from the top."""
    shown: str
    """From the top: `/orders/*/buyer/name`."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """The arrays whose members are declarations, and lines of declarations."""

    body: Steps
    """Empty: the document is one declaration."""
    lines: Steps | None
    """None: there is none."""

    @property
    def body_path(self) -> str:
        """As `[each]` names it; empty: it names none."""
        return f"/{_joined(self.body[:-1])}" if len(self.body) > 1 else "." if self.body else ""

    @property
    def lines_path(self) -> str:
        """As `[each]` names it; empty: it names none."""
        if self.lines is None:
            return ""
        return _joined(self.lines[len(self.body) : -1])


class TreeShape:
    """What stands where in a document, by the first member of each array."""

    def __init__(self, document: object) -> None:
        self._texts: dict[Steps, list[Steps]] = {_DOCUMENT: []}
        """Array → what stands in its members, without what stands in arrays inside; empty: in the document."""
        self._walk(document, _DOCUMENT, ())

    def _walk(self, value: object, array: Steps, steps: Steps) -> None:
        if isinstance(value, dict):
            for key, one in value.items():
                self._walk(one, array, (*steps, str(key)))
        elif isinstance(value, list):
            for one in value[:1]:
                inner = (*array, *steps, _MEMBERS)
                self._texts.setdefault(inner, [])
                self._walk(one, inner, ())
        elif steps:
            self._texts[array].append(steps)

    def arrays(self, head: Sequence[Names], line: Sequence[Names]) -> Arrays:
        """Choose the arrays in which most of these elements have a text: those of a declaration's head, and of its lines."""
        inner = [array for array in self._texts if array]
        lines = max(inner, key=lambda array: self._found(array, line), default=None)
        if lines is None or not self._found(lines, line):
            lines = None
        outer = [
            array
            for array in self._texts
            if array.count(_MEMBERS) <= 1
            and (lines is None or (array != lines and lines[: len(array)] == array))
        ]
        return Arrays(body=max(outer, key=lambda array: self._found(array, head)), lines=lines)

    def _found(self, array: Steps, elements: Sequence[Names]) -> int:
        return sum(self._match(array, names) is not None for names in elements)

    def _match(self, array: Steps, names: Names) -> Steps | None:
        """Return what has one of these names: by its last two keys together, or by its last alone."""
        for count in (2, 1):
            for steps in self._texts[array]:
                if len(steps) >= count and spelt_key("".join(steps[-count:])) in names:
                    return steps
        return None

    def text(self, array: Steps, names: Names) -> Sample | None:
        """Return the text in the members of an array that has one of these names, None: none has."""
        steps = self._match(array, names)
        if steps is None:
            return None
        written = _joined(steps)
        return Sample(written if array else f"/{written}", _shown(array, steps))

    def shown(self) -> Iterator[str]:
        """Yield every place of a text, from the top."""
        return (_shown(array, steps) for array, found in self._texts.items() for steps in found)


def spelt_key(name: str) -> str:
    """Return a key as keys are compared: as a head is, and without the signs between words."""
    return re.sub(r"[_\-.]", "", compared(name))


def _joined(steps: Steps) -> str:
    return "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)


def _shown(array: Steps, steps: Steps) -> str:
    return f"/{_joined((*array, *steps))}"
