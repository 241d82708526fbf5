"""`gateway mapping explain`: shows what becomes of the first declaration of a source, before anything is sent."""

import re
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
from gateway.model import Fault
from gateway.rules.schemas import Schemas

_POSITION: Final = re.compile(r"\[\d+\]")
_SHOWN: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewedElement:
    """One element of the first declaration."""

    source: str
    """Head of the column or place in the document; empty: it comes from the mapping itself."""
    function: str
    element: str
    """Its path inside the declaration, or below the root, without positions."""
    name_zh: str
    value: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What becomes of the first declaration."""

    elements: tuple[PreviewedElement, ...]
    """Each once: of several lines those of the first."""
    unread: tuple[str, ...]
    """Columns and places that no rule reads."""
    faults: tuple[Fault, ...]


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
            with open_translation(mapping, source, limits=SourceLimits()) as translation:
                preview = _preview(translation, chosen.rules.schemas)
        except Refused as refused:
            preview = Preview(elements=(), unread=(), faults=refused.faults)
    if as_json:
        for one in preview.elements:
            emit(one)
        faults = {"faults": preview.faults} if preview.faults else {}
        emit({"file": str(document), "mapping": mapping.name, "unread": preview.unread, **faults})
    else:
        _tell(preview)
        if preview.faults:
            tell_faults(document, preview.faults)
    if preview.faults:
        click.get_current_context().exit(NOT_IN_ORDER)


def _preview(translation: Translation, schemas: Schemas) -> Preview:
    """Translate the first declaration. Raises Refused."""
    body = next(translation.bodies(), None)
    steps = () if body is None else translation.message([body]).steps()
    found: dict[str, PreviewedElement] = {}
    for step in steps:
        path = _POSITION.sub("", step.target).lstrip("/").partition("/")[2]
        element = path.removeprefix(f"{translation.mapping.kind.body}/")
        found.setdefault(
            element,
            PreviewedElement(
                source=step.spot.head if isinstance(step.spot, CellSpot) and step.source else step.source,
                function=step.function,
                element=element,
                name_zh=schemas.name_zh(step.target),
                value=step.value,
            ),
        )
    return Preview(
        elements=tuple(found.values()),
        unread=tuple(translation.unconsumed),
        faults=() if body is None else body.faults,
    )


def _tell(preview: Preview) -> None:
    """Write the elements that have a value, and what is not read."""
    rows = [
        (_from(one), one.element, one.value[:_SHOWN]) for one in preview.elements if one.value is not None
    ]
    if rows:
        tables.table(("from", "element", "value"), rows, whole=("element",))
    if preview.unread:
        echo(f"no rule reads: {', '.join(preview.unread)}")


def _from(one: PreviewedElement) -> str:
    """Return where a value comes from: head or place, or what the mapping does in place of one."""
    return one.source if one.source and one.function != "default" else f"({one.function})"
