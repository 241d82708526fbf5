"""`gateway submit --mapping`: hands in sources of many declarations, and watches what becomes of them."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.cli.failure import say
from gateway.cli.output import emit
from gateway.cli.terminal import echo
from gateway.client import GatewayClient, ProblemView
from gateway.errors import DeliveryError
from gateway.imports.facts import ROWS_OF_A_FILE
from gateway.imports.views import ImportDetailView, ImportView, RefusedView
from gateway.mapping.sources.table import MEDIA, SUFFIXES
from gateway.model import BEIJING, SECOND
from gateway.printable import printable
from spool.imports import ACTIVE, JobState

_LOOK_S: Final = 0.5
"""Seconds between two looks at an import that is not over."""
_SHOWN: Final = 20
"""Most refused declarations that are shown one by one."""
_OVER: Final = frozenset(state.value for state in JobState) - {state.value for state in ACTIVE}


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How sources are to be made into messages."""

    mappings: tuple[str, ...]
    charset: str
    app_time: str
    """Empty: when the file was last changed."""
    all_or_nothing: bool
    refused_dir: Path | None


def hand_in(client: GatewayClient, files: Sequence[Path], wanted: ImportOptions, *, as_json: bool) -> bool:
    """Hand in each file and wait until its import is over; returns whether all was made. Raises DeliveryError."""
    in_order = True
    for file in files:
        taken = _hand_in(client, file, wanted)
        result = _watch(client, file, taken.id) if isinstance(taken, ImportView) else taken
        _tell(client, file, result, as_json=as_json)
        if isinstance(result, ImportDetailView):
            _keep_refused(client, file, result.summary, wanted.refused_dir)
        in_order &= _is_in_order(result)
    return in_order


def _hand_in(client: GatewayClient, file: Path, wanted: ImportOptions) -> ImportView | ProblemView:
    form = SUFFIXES.get(file.suffix.lower())
    if form is None:
        raise click.UsageError(f"{file} is neither of {', '.join(SUFFIXES)}")
    changed = datetime.fromtimestamp(file.stat().st_mtime, BEIJING).strftime(SECOND)
    with file.open("rb") as source:
        return client.submit_import(
            source,
            MEDIA[form],
            wanted.mappings,
            charset=wanted.charset,
            app_time=wanted.app_time or changed,
            all_or_nothing=wanted.all_or_nothing,
        )


def _watch(client: GatewayClient, file: Path, uid: str) -> ImportDetailView | ProblemView:
    """Look at an import until it is over, with a progress bar on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(printable(file.name), total=None)
        while True:
            found = client.import_detail(uid, limit=_SHOWN)
            if isinstance(found, ProblemView) or found.summary.state in _OVER:
                return found
            one = found.summary
            bar.update(
                task,
                description=f"{printable(file.name)} {one.phase}",
                completed=one.position,
                total=one.rows,
            )
            time.sleep(_LOOK_S)


def _is_in_order(result: ImportDetailView | ProblemView) -> bool:
    return (
        isinstance(result, ImportDetailView)
        and result.summary.state in {JobState.DONE.value, JobState.DUPLICATE.value}
        and not result.summary.refused
    )


def _tell(
    client: GatewayClient, file: Path, result: ImportDetailView | ProblemView, *, as_json: bool
) -> None:
    match result:
        case ProblemView() if as_json:
            emit({"file": str(file), "state": "refused", "problem": result})
        case ProblemView():
            echo(f"{file}: REFUSED, {result.status} {result.title} / {result.title_zh}")
            for text in (result.detail, result.detail_zh):
                if text:
                    echo(f"  {text}")
        case ImportDetailView() if as_json:
            emit({"file": str(file), "state": result.summary.state, "import": result.summary})
            _emit_refused(client, file, result)
        case ImportDetailView():
            _tell_import(file, result)


def _tell_import(file: Path, found: ImportDetailView) -> None:
    one = found.summary
    echo(f"{file}: {one.state}, {one.declarations} declarations in {one.messages} messages  {one.id}")
    if one.duplicate_of:
        echo(f"  the same values were handed in before: import {one.duplicate_of}")
    for fault in one.faults:
        echo(f"  {fault.message}")
        echo(f"  {fault.message_zh}")
    for note in one.notes:
        echo(f"  note: {note.message}")
    if one.unconsumed:
        echo(f"  not read by any mapping: {', '.join(one.unconsumed)}")
    if one.refused:
        echo(f"  {one.refused} declarations refused")
    for refused in found.refused:
        _tell_refused(refused)
    if one.refused > len(found.refused):
        echo(f"  and {one.refused - len(found.refused)} more: --refused DIR writes them all into a sheet")


def _tell_refused(refused: RefusedView) -> None:
    for fault in refused.faults:
        echo(f"  {fault.source or refused.declaration.place}: {fault.message}")
        echo(f"    {fault.message_zh}")


def _emit_refused(client: GatewayClient, file: Path, found: ImportDetailView | ProblemView) -> None:
    """Write a line for each refused declaration, page by page."""
    while isinstance(found, ImportDetailView) and found.refused:
        for one in found.refused:
            emit({"file": str(file), "refused": one})
        found = client.import_detail(found.summary.id, refused_after=found.refused_after, limit=1000)


def _keep_refused(client: GatewayClient, file: Path, one: ImportView, folder: Path | None) -> None:
    """Write the refused rows into sheets of `folder`, one file for every 10,000. Raises DeliveryError."""
    if folder is None or not one.refused:
        return
    for part in range(-(-one.refused // ROWS_OF_A_FILE)):
        body = client.import_sheet(one.id, "refused", part)
        if isinstance(body, ProblemView):
            raise DeliveryError(f"the refused rows cannot be fetched: {body.status} {body.title}")
        name = f"{file.stem}.refused{f'.{part + 1}' if part else ''}.xlsx"
        (folder / name).write_bytes(body)
        say("note", f"the refused rows are in {folder / name}")
