"""`gateway rules`: lists, checks, explains and tries the rules that advice is given by."""

import textwrap
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import click

from gateway.advice.adviser import Adviser
from gateway.advice.syntax import ExpressionError, parse
from gateway.advice.wording import in_words
from gateway.cli import tables
from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.options import documents, files_argument, json_option
from gateway.cli.output import emit, facts
from gateway.cli.rules.books import (
    RuleBooks,
    config_option,
    folder_option,
    read_books,
)
from gateway.cli.rules.trial import Trial, tried
from gateway.cli.terminal import echo
from gateway.cli.validate import read
from gateway.errors import RulesError
from gateway.model import BEIJING, SECOND, Advice, Severity
from gateway.rules.rulebook import Rule

_WIDTH: Final = 80


@click.group()
def rules() -> None:
    """Look at the rules that advice is given by, and try them."""


@rules.command(name="list")
@config_option
@folder_option
@json_option
def list_(file: Path | None, folder: Path | None, as_json: bool) -> None:
    """List all rules: severity, grade, types, and below it who acts, code, time, source, and why one is not judged."""
    books = read_books(file, folder)
    for rule in books.rules.rulebook.rules.values():
        if as_json:
            emit(_view(rule, books))
            continue
        echo(f"{rule.name:<26} {rule.severity:<8} {rule.grade}  {books.shown_types(rule)}")
        for line in textwrap.wrap(", ".join(_remarks(rule, books)), _WIDTH - 4):
            echo(f"    {line}")
    for name in sorted(books.rules.rulebook.off):
        emit({"rule": name, "state": "off"}) if as_json else echo(f"{name:<26} off")
    _tell(books.mistakes)


@rules.command()
@config_option
@folder_option
@json_option
def check(file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Compile every rule for every message type; say all mistakes with file, rule, key and column. Exit code 1: there is one."""
    books = read_books(file, folder)
    found = books.rules.rulebook
    asleep = sorted(rule.name for rule in found.rules.values() if books.asleep(rule))
    counts = {"rules": len(found.rules), "off": sorted(found.off), "asleep": asleep}
    if as_json:
        emit({**counts, "mistakes": [_mistake(one) for one in books.mistakes]})
    else:
        _tell(books.mistakes)
        echo(
            f"{len(found.rules)} rules, {len(found.off)} switched off, {len(asleep)} asleep for want of a table"
        )
    if books.mistakes:
        click.get_current_context().exit(NOT_IN_ORDER)


@rules.command()
@click.argument("name", metavar="RULE")
@config_option
@folder_option
@json_option
def explain(name: str, file: Path | None, folder: Path | None, as_json: bool) -> None:
    """Explain one rule: its texts, its condition in words, and an example that breaks it. Exit code 1: there is none."""
    books = read_books(file, folder)
    rule = books.rules.rulebook.rules.get(name)
    if rule is None:
        off = name in books.rules.rulebook.off
        say(
            "error",
            f"the rule {name} is switched off" if off else f"there is no rule {name}",
            fix="gateway rules list",
        )
        click.get_current_context().exit(NOT_IN_ORDER)
        return
    view = _view(rule, books)
    if as_json:
        emit(view)
        return
    echo(f"{rule.name}  ({rule.severity}, grade {rule.grade})")
    for line in (rule.en, rule.zh, f"fix: {rule.fix_en}", f"修改方法：{rule.fix_zh}"):
        echo(f"  {line}")
    shown = {
        "messages": books.shown_types(rule),
        "judged for": "each " + {"field": "of the fields, wherever it stands"}.get(rule.each, rule.each),
        "fields": ", ".join(rule.at),
        "when": _words(rule.when),
        "holds": _words(rule.holds),
        "as written": " ".join(f"{f'when {rule.when}; ' if rule.when else ''}holds {rule.holds}".split()),
        "broken by": ", ".join(f"{key} = {text or '(missing)'}" for key, text in rule.breaks.items()),
        "remarks": ", ".join(_remarks(rule, books)),
        "file": str(rule.place.file),
    }
    facts(shown, indent="  ")


@rules.command()
@files_argument
@click.option(
    "--on",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Judge as if received at noon of that day, Beijing time.",
)
@config_option
@folder_option
@json_option
def test(
    paths: tuple[Path, ...], day: datetime | None, file: Path | None, folder: Path | None, as_json: bool
) -> None:
    """Judge declarations offline; folders are searched for *.xml. Exit code 1: a document is invalid, or breaks a rule of severity error.

    A declaration is judged by its own appTime; --on stands for the time of its receipt, which is now otherwise.
    """
    books = read_books(file, folder)
    for mistake in books.mistakes:
        raise mistake
    now = datetime.now(BEIJING) if day is None else day + timedelta(hours=12)
    adviser = Adviser(books.rules.rulebook, books.rules.tables, books.rules.schemas)
    good = True
    for one in tables.progress(documents(paths), "judging", speaks=True):
        trial = tried(read(one), books.rules, adviser, now.strftime(SECOND))
        good = good and trial.valid and all(advice.severity is not Severity.ERROR for advice in trial.advice)
        if as_json:
            emit(
                {
                    "file": str(one),
                    "valid": trial.valid,
                    "message_type": trial.message_type,
                    "advice": trial.advice,
                }
            )
        else:
            _tell_trial(one, trial)
    if not good:
        click.get_current_context().exit(NOT_IN_ORDER)


def _tell_trial(file: Path, trial: Trial) -> None:
    if not trial.valid:
        echo(f"{file}: no valid declaration; gateway validate says why")
        return
    echo(f"{file}: {trial.message_type}, {len(trial.advice) or 'no'} advice")
    for advice in trial.advice:
        _tell_advice(advice)


def _tell_advice(advice: Advice) -> None:
    code = f" code {advice.code}" if advice.code else ""
    place = f"line {advice.line}  {advice.path}" if advice.line else advice.path
    echo(f"  {advice.severity}  {place}  {advice.name_zh}  [{advice.rule}]{code}")
    for line in (
        advice.message,
        advice.message_zh,
        f"fix ({advice.who}): {advice.fix}",
        f"修改方法：{advice.fix_zh}",
    ):
        echo(f"    {line}")


def _remarks(rule: Rule, books: RuleBooks) -> list[str]:
    missing = books.asleep(rule)
    time = " to ".join(_time(edge) for edge in (rule.since, rule.until)) if rule.since or rule.until else ""
    remarks = [
        str(rule.who or "sender"),
        f"code {rule.code}" if rule.code else "",
        time,
        f"asleep: no table {' or '.join(missing)}" if missing else "",
        rule.source,
    ]
    return [one for one in remarks if one]


def _time(edge: str) -> str:
    return f"{edge[:4]}-{edge[4:6]}-{edge[6:8]} {edge[8:10]}:{edge[10:12]}" if edge else "…"


def _view(rule: Rule, books: RuleBooks) -> dict[str, object]:
    missing = books.asleep(rule)
    return {
        "rule": rule.name, "state": "asleep" if missing else "on", "missing_tables": missing, "severity": rule.severity,
        "grade": rule.grade, "types": rule.types, "each": rule.each, "at": rule.at, "who": rule.who or "sender",
        "code": rule.code, "from": rule.since, "until": rule.until, "source": rule.source, "when": rule.when,
        "holds": rule.holds, "when_words": _words(rule.when), "holds_words": _words(rule.holds),
        "breaks": dict(rule.breaks), "message": rule.en, "message_zh": rule.zh, "fix": rule.fix_en, "fix_zh": rule.fix_zh,
        "file": str(rule.place.file),
    }  # fmt: skip


def _words(condition: str) -> str:
    """Return a condition in words; as it is written where it cannot be read, which `check` says."""
    try:
        return in_words(parse(condition)) if condition else ""
    except ExpressionError:
        return condition


def _mistake(error: RulesError) -> dict[str, str]:
    return {"what": error.what, "where": error.where, "fix": error.fix}


def _tell(mistakes: Sequence[RulesError]) -> None:
    for one in mistakes:
        say("error", one.what, one.where, one.fix)
