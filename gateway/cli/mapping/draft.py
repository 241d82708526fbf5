"""`gateway mapping new`: drafts a mapping from a sample of a platform."""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from gateway.cli.failure import say
from gateway.cli.mapping.chosen import Chosen, choose, chosen_options
from gateway.cli.options import out_option
from gateway.cli.output import deliver, emit
from gateway.cli.sources import form_of, opened
from gateway.cli.terminal import echo
from gateway.cli.validate import read
from gateway.errors import ConfigError
from gateway.mapping.drafting import MappingDraft, draft_of_table, draft_of_tree
from gateway.mapping.heads import LOOKED_AT
from gateway.mapping.language import SourceMapping
from gateway.mapping.sources.opening import open_table
from gateway.mapping.sources.table import Form, SourceLimits


@click.command()
@click.option(
    "--from",
    "sample",
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="A sample of the platform: CSV, XLSX, JSON or NDJSON.",
)
@click.option("--message", "-t", "written", required=True, help="The message to make: 311 or CEB311Message.")
@click.option(
    "--money",
    type=click.Choice(["yuan", "fen"]),
    help="What the amounts of the sample are in; no value tells.",
)
@click.option("--charset", default="", help="Of CSV: utf-8 (default), gb18030, gbk or gb2312.")
@click.option("--sheet", default="", help="Of XLSX: the sheet to look at; by default the first visible one.")
@chosen_options
@out_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, with the draft in it.")
def new(
    *,
    sample: Path,
    written: str,
    money: str | None,
    charset: str,
    sheet: str,
    edition: str,
    rules_dir: Path | None,
    mappings_dir: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Draft a mapping from a sample: its heads or keys are compared with the names of elements in both languages.

    What matches nothing is told on stderr, and what the message needs and the sample does not have stands in the draft as a
    line behind #. Nothing is guessed from values. Then: gateway mapping check, gateway mapping explain.
    """
    chosen = choose(edition, rules_dir, mappings_dir)
    pattern = chosen.sheet_of(chosen.type_of(written))
    draft = _draft(sample, pattern, chosen, money=money or "", charset=charset, sheet=sheet)
    if as_json:
        emit(
            {
                "message_type": pattern.kind.name,
                "matched": draft.matched,
                "near": sorted(draft.near),
                "unmatched": draft.unmatched,
                "missing": draft.missing,
                "draft": draft.text,
            }
        )
        return
    deliver(draft.text.encode(), out)
    _tell(draft, needs_money=bool(pattern.money and not money))


def _draft(
    sample: Path, pattern: SourceMapping, chosen: Chosen, *, money: str, charset: str, sheet: str
) -> MappingDraft:
    form = form_of(sample)
    about = f"drafted from {sample.name}"
    document = _first_document(sample, form)
    if document is not None and not _is_table(document):
        return draft_of_tree(document, pattern, chosen.rules.schemas, about=about, money=money)
    with opened(sample) as content:
        table = open_table(content, form, charset=charset, limits=SourceLimits())
        seen = [one for one in table.sheets if (one.name == sheet if sheet else not one.hidden)]
        if not seen:
            raise ConfigError(
                f"there is no sheet {sheet}", where=str(sample),
                fix=f"one of {', '.join(one.name for one in table.sheets)}",
            )  # fmt: skip
        rows = [row.cells for row in islice(seen[0].rows(), LOOKED_AT)] or [()]
    drafts = [draft_of_table(row, pattern, chosen.rules.schemas, about=about, money=money) for row in rows]
    return max(drafts, key=lambda one: len(one.matched))


def _first_document(sample: Path, form: Form) -> Any:
    """Return the first document of JSON or NDJSON, None for other forms. Raises ConfigError."""
    if form not in (Form.JSON, Form.NDJSON):
        return None
    text = read(sample)
    try:
        return json.loads(text if form is Form.JSON else text.strip().partition(b"\n")[0])
    except ValueError as error:
        raise ConfigError(
            f"not JSON: {error}", where=str(sample), fix="name a file that the platform writes"
        ) from error


def _is_table(document: Any) -> bool:
    """Say whether it is rows under heads: flat objects, alone, in an array, or in an array for each sheet."""
    if isinstance(document, list):
        return all(_is_flat(one) for one in document)
    sheets = document.values() if isinstance(document, dict) else ()
    return _is_flat(document) or all(isinstance(one, list) and all(map(_is_flat, one)) for one in sheets)


def _is_flat(row: Any) -> bool:
    return isinstance(row, dict) and not any(isinstance(one, dict | list) for one in row.values())


def _tell(draft: MappingDraft, *, needs_money: bool) -> None:
    """Say on stderr what was matched, and what is left to do."""
    echo(f"{len(draft.matched)} matched", err=True)
    _list(
        "only alike, look whether they mean the same",
        [f"{one}: {draft.matched[one]}" for one in sorted(draft.near)],
    )
    _list("match nothing, and are not read", draft.unmatched)
    _list("needed, and nothing in the sample has that name", draft.missing)
    if needs_money:
        say("to do", "the draft does not say whether amounts are in yuan or in fen", fix='money = "yuan"')


def _list(what: str, names: Sequence[str]) -> None:
    if names:
        echo(f"{len(names)} {what}:", err=True)
        for name in names:
            echo(f"  {name}", err=True)
