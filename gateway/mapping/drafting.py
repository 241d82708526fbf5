"""Drafts a mapping from a sample of a platform: its heads or keys are compared with the names of elements in both languages.

The shipped sheet of the message type is the pattern: what it does to a text (times, codes, defaults) the draft does too.
What matches nothing is left out and told; nothing is guessed from values.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from gateway.mapping.english_names import ENGLISH_NAMES
from gateway.mapping.language import SourceMapping
from gateway.mapping.sample_tree import Sample, TreeShape, spelt_key
from gateway.mapping.uses import ElementUse, element_uses
from gateway.rules.schema_model import ElementDecl
from gateway.rules.schemas import Schemas

_NEAR: Final = 0.8
"""Least likeness of two names that are proposed for each other (difflib's ratio)."""
_NTH: Final = re.compile(r"(.+)#([2-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingDraft:
    """A mapping that was drafted, and what is left to do."""

    text: str
    matched: Mapping[str, str]
    """Head or place of the sample → what it was matched with."""
    near: frozenset[str]
    """Those of them whose names are only alike."""
    unmatched: tuple[str, ...]
    """Heads and places of the sample that match nothing."""
    missing: tuple[str, ...]
    """Required elements for which nothing was found, each with its Chinese name."""


def draft_of_table(
    heads: Sequence[str], pattern: SourceMapping, schemas: Schemas, *, about: str, money: str
) -> MappingDraft:
    """Draft a mapping for a table with these heads; `pattern`: the shipped sheet of the message type."""
    names, english = _names_of_columns(pattern, schemas), _english_names(pattern, schemas)
    written = list(dict.fromkeys(one.strip() for one in heads if one.strip()))
    column_of = _matched(written, lambda head: names.get(spelt_key(head), ()), {})
    column_of |= _matched(written, lambda head: english.get(spelt_key(head), ()), column_of)
    exact = frozenset(column_of)
    column_of |= _matched(written, lambda head: names.get(_alike(spelt_key(head), names), ()), column_of)
    head_of = {column: head for head, column in column_of.items()}
    counts = {head: sum(one.strip() == head for one in heads) for head in column_of}

    def place_of(_: str, column: str) -> str | None:
        name, nth = (found[1], int(found[2])) if (found := _NTH.fullmatch(column)) else (column, 1)
        head = head_of.get(name)
        return None if head is None or counts[head] < nth else head + (f"#{nth}" if nth > 1 else "")

    drafter = _Drafter(pattern, schemas, place_of)
    document = list(drafter.document())
    listed = {one.name: one for one in pattern.columns}
    columns = {
        head: {"required": True} if listed[column].required else {} for head, column in column_of.items()
    }
    each = {
        path: [head_of[name] for name in _first_there(over, head_of)]
        for path, over in drafter.pattern["each"].items()
    }
    return MappingDraft(
        text=_written(
            pattern,
            document,
            source="table",
            about=about,
            money=money,
            tables={"columns": columns, "each": each},
        ),
        matched=column_of,
        near=frozenset(column_of) - exact,
        unmatched=tuple([one for one in written if one not in column_of]),
        missing=tuple(drafter.missing),
    )


def draft_of_tree(
    sample: object, pattern: SourceMapping, schemas: Schemas, *, about: str, money: str
) -> MappingDraft:
    """Draft a mapping for a JSON document like this one; `pattern`: the shipped sheet of the message type."""
    shape, found = TreeShape(sample), dict[str, Sample]()
    body = pattern.kind.body
    lists = [path for path in pattern_of(pattern)["each"] if path != body]
    names = {use.path: _names_of_element(use, pattern) for use in element_uses(pattern, schemas)}
    lines = {path for path in names if any(path.startswith(f"{one}/") for one in lists)}
    heads = {path for path in names if path.startswith(f"{body}/")} - lines
    arrays = shape.arrays([names[path] for path in heads], [names[path] for path in lines])
    for path, wanted in names.items():
        within = [arrays.lines] if path in lines else [arrays.body, ()] if path in heads else [()]
        places = [shape.text(array, wanted) for array in within if array is not None]
        place = next((one for one in places if one is not None and one not in found.values()), None)
        if place is not None:
            found[path] = place
    drafter = _Drafter(
        pattern, schemas, lambda path, _: found[path].written if path in found else None, times="iso"
    )
    document = list(drafter.document())
    each = {body: arrays.body_path} if arrays.body_path else {}
    each |= {path: arrays.lines_path for path in lists if arrays.lines_path}
    matched = {place.shown: path for path, place in found.items()}
    return MappingDraft(
        text=_written(
            pattern, document, source="json", about=about, money=money, tables={"each": each}
        ),
        matched=matched,
        near=frozenset(),
        unmatched=tuple([one for one in shape.shown() if one not in matched]),
        missing=tuple(drafter.missing),
    )  # fmt: skip


def pattern_of(mapping: SourceMapping) -> dict[str, Any]:
    """Return the tables of a mapping as they are written."""
    return tomllib.loads(mapping.text)


@dataclass(slots=True)
class _Drafter:
    """Walks the tables of the pattern, and puts the places of the sample in the place of its own."""

    mapping: SourceMapping
    schemas: Schemas
    place_of: Callable[[str, str], str | None]
    """Path of an element, column of the pattern → place in the sample."""
    times: str = ""
    """A form of times that is tried before those of the pattern."""
    pattern: dict[str, Any] = field(init=False)
    missing: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pattern = pattern_of(self.mapping)

    def document(self) -> Iterator[str]:
        """Yield the lines of `[document]`."""
        decl = self.schemas.declaration(self.mapping.kind.name)
        yield from self._table(self.pattern["document"], decl, "document", "")

    def _table(self, table: Mapping[str, Any], decl: ElementDecl, name: str, path: str) -> Iterator[str]:
        grammar = self.schemas.grammar_for(self.mapping.kind.name)
        required = {one.decl.name: one.low > 0 for one in grammar.shape(decl).slots if one.decl is not None}
        inner: list[tuple[str, Mapping[str, Any], ElementDecl]] = []
        lines = [f"\n[{name}]"]
        for key, value in table.items():
            child = grammar.child(decl, key)
            if child is not None and grammar.shape(child).text is None:
                inner.append((key, value, child))
                continue
            written = self._leaf(f"{path}{key}", value)
            if written is not None:
                lines.append(f"{_key(key)} = {_inline(written)}")
            elif required.get(key, True) and child is not None:
                self.missing.append(f"{path}{key} ({child.name_zh})")
                lines.append(f'# {key} = "…"    # {child.name_zh}: nothing in the sample has this name')
        yield from lines if len(lines) > 1 or not inner else ()
        for key, value, child in inner:
            yield from self._table(value, child, f"{name}.{key}", f"{path}{key}/")

    def _leaf(self, path: str, value: Any) -> Any:
        """Return what is written for an element; None: nothing of the sample fills it."""
        written = {"from": value} if isinstance(value, str | list) else dict(value)
        if "from" not in written:
            return value
        places: list[str] = [written["from"]] if isinstance(written["from"], str) else written["from"]
        found = list(dict.fromkeys(one for one in (self.place_of(path, place) for place in places) if one))
        if not found:
            if "else" in written:
                return self._leaf(path, written["else"])
            return {"constant": written["default"]} if "default" in written else None
        written["from"] = found[0] if len(found) == 1 else found
        if "else" in written:
            otherwise = self._leaf(path, written.pop("else"))
            if otherwise is not None and otherwise != written:
                written["else"] = otherwise
        if self.times and "time" in written:
            written["time"] = [self.times, written["time"]]
        return written["from"] if list(written) == ["from"] else written


def _matched(
    heads: Sequence[str], columns_for: Callable[[str], Sequence[str]], taken: Mapping[str, str]
) -> dict[str, str]:
    """Return head → column for the heads that have one: the first that no other head has taken."""
    found: dict[str, str] = {}
    for head in heads:
        used = (*taken.values(), *found.values())
        column = None if head in taken else next((one for one in columns_for(head) if one not in used), None)
        if column is not None:
            found[head] = column
    return found


def _alike(name: str, names: Mapping[str, object]) -> str:
    """Return the name that is most like this one; empty: none is."""
    return next(iter(get_close_matches(name, names, n=1, cutoff=_NEAR)), "")


def _names_of_columns(pattern: SourceMapping, schemas: Schemas) -> dict[str, list[str]]:
    """Return each name as keys are compared → the columns of the pattern that have it: their own names first."""
    found: dict[str, list[str]] = {}
    for one in pattern.columns:
        for name in (one.name, *one.also):
            found.setdefault(spelt_key(name), []).append(one.name)
    for use in element_uses(pattern, schemas):
        if use.column is not None:
            for name in (use.leaf.name_zh, use.leaf.name, use.path):
                found.setdefault(spelt_key(name), []).append(use.column.name)
    return found


def _english_names(pattern: SourceMapping, schemas: Schemas) -> dict[str, list[str]]:
    """Return each English name → the columns of the elements that are called so."""
    found: dict[str, list[str]] = {}
    for use in element_uses(pattern, schemas):
        if use.column is not None:
            for name in _english(use):
                found.setdefault(name, []).append(use.column.name)
    return found


def _english(use: ElementUse) -> list[str]:
    around, _, name = use.path.rpartition("/")
    line = f"List/{name}" if around.endswith("List") else name
    return ENGLISH_NAMES.get(line, ENGLISH_NAMES.get(name, "")).split()


def _names_of_element(use: ElementUse, pattern: SourceMapping) -> frozenset[str]:
    """Return all names of an element, as keys are compared."""
    own = [one for one in pattern.columns if use.column is not None and one.name == use.column.name]
    heads = [name for one in own for name in (one.name, *one.also)]
    names = [use.leaf.name, use.leaf.name_zh, *heads, *_english(use)]
    return frozenset(spelt_key(name) for name in names)


def _first_there(over: Sequence[str | Sequence[str]], head_of: Mapping[str, str]) -> Iterator[str]:
    """Yield the columns to group by: of several that may stand for each other, the first that is there."""
    for one in over:
        names = [one] if isinstance(one, str) else one
        yield from [name for name in names if name in head_of][:1]


def _written(
    pattern: SourceMapping,
    document: Sequence[str],
    *,
    source: str,
    about: str,
    money: str,
    tables: Mapping[str, Mapping[str, Any]],
) -> str:
    lines = [
        f"# A draft for {pattern.kind.name} (docs/sheets.md): look at every line, and at what is marked with # … before it is used.",
        f'message = "{pattern.kind.name}"',
        f'source = "{source}"',
        f"about = {_inline(about)}",
    ]
    if pattern.money:
        lines.append(
            f'money = "{money}"'
            if money
            else '# money = "yuan" or "fen": what the amounts are in, which no value tells'
        )
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{_key(key)} = {_inline(value)}" for key, value in table.items())]
    return "\n".join((*lines, *document, ""))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _inline(value: Any) -> str:
    """Return a value of TOML on one line."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(key)} = {_inline(one)}" for key, one in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return json.dumps(value, ensure_ascii=False)
