"""`gateway mapping explain`: shows what becomes of the first declaration of a source, before anything is sent."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from gateway.cli import tables
from gateway.cli.failure import NOT_IN_ORDER
from gateway.cli.mapping.chosen import choose, chosen_options
from gateway.cli.options import document_argument, json_option
from gateway.cli.output import emit
from gateway.cli.sources import changed_at, form_of, opened
from gateway.cli.terminal import echo
from gateway.cli.translate import tell_faults
from gateway.errors import Refused
from gateway.mapping.faults import CellSpot
from gateway.mapping.sources.table import SourceLimits
from gateway.mapping.translation import Source, Translation, open_translation
from gateway.mapping.write import TraceStep
from gateway.model import Fault
from gateway.rules.schemas import Schemas

_POSITION: Final = re.compile(r"\[\d+\]")
_SHOWN: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One element of the first declaration."""

    source: str
    """Head of the column or place in the document; empty: it comes from the mapping itself."""
    function: str
    element: str
    """Its path inside the declaration, or below the root, without positions."""
    name_zh: str
    value: str | None


@click.command()
@document_argument
@click.option(
    "--mapping", "-m", "wanted", required=True, help="Name of a mapping, or a file that ends in .toml."
)
@click.option("--charset", default="", help="Of CSV: utf-8 (default), gb18030, gbk or gb2312.")
@chosen_options
@json_option
def explain(
    *,
    document: Path,
    wanted: str,
    charset: str,
    edition: str,
    rules_dir: Path | None,
    mappings_dir: Path | None,
    as_json: bool,
) -> None:
    """Show what a mapping makes of the first declaration in FILE: head or place, element, first value.

    And what no rule of the mapping reads. Nothing is sent. Values are shown, also those of persons: they go to your
    terminal and nowhere else. Exit code 1: the source or its first declaration is not in order, and what is wrong is said.
    """
    chosen = choose(edition, rules_dir, mappings_dir)
    mapping = chosen.one(wanted)
    with opened(document) as content:
        source = Source(
            content=content, form=form_of(document), charset=charset, app_time=changed_at(document)
        )
        try:
            translation = open_translation(mapping, source, limits=SourceLimits())
            shown = list(_first(translation, chosen.rules.schemas, mapping.kind.body))
        except Refused as refused:
            _refuse(document, refused.faults, as_json=as_json)
            return
        unread = translation.unconsumed
    if as_json:
        for one in shown:
            emit(one)
        emit({"file": str(document), "mapping": mapping.name, "unread": unread})
        return
    rows = [(one.source or f"({one.function})", one.element, (one.value or "–")[:_SHOWN]) for one in shown]
    tables.table(("from", "element", "value"), rows, whole=("element",))
    if unread:
        echo(f"no rule reads: {', '.join(unread)}")


def _first(translation: Translation, schemas: Schemas, body_name: str) -> Iterator[Shown]:
    """Yield the elements of the first declaration, each once. Raises Refused with its faults."""
    body = next(translation.bodies(), None)
    if body is None:
        return
    if body.faults:
        raise Refused("untranslatable", body.faults)
    seen: set[str] = set()
    for step in translation.message([body]).steps():
        path = _POSITION.sub("", step.target).lstrip("/").partition("/")[2]
        element = path.removeprefix(f"{body_name}/")
        if element not in seen:
            seen.add(element)
            yield Shown(
                source=_place(step),
                function=step.function,
                element=element,
                name_zh=schemas.name_zh(step.target),
                value=step.value,
            )


def _place(step: TraceStep) -> str:
    """Return the head of a cell, or the place in a document."""
    return step.spot.head if isinstance(step.spot, CellSpot) else step.source


def _refuse(document: Path, faults: Iterable[Fault], *, as_json: bool) -> None:
    told = list(faults)
    if as_json:
        emit({"file": str(document), "valid": False, "faults": told})
    else:
        tell_faults(document, told)
    click.get_current_context().exit(NOT_IN_ORDER)
