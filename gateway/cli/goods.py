"""`gateway goods`: checks goods and switches of books offline, and hands them in or shows them for an enterprise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from gateway.cli import tables
from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.open_spool import enterprises_of, open_spool
from gateway.cli.options import config_option, document_argument, json_option
from gateway.cli.output import deliver, emit, facts, instant
from gateway.cli.terminal import echo
from gateway.cli.validate import read
from gateway.config.gateway_toml import Config, load_config
from gateway.errors import ConfigError, Refused
from gateway.goods.cache import stored_books, stored_goods
from gateway.goods.columns import BOOKS, COLUMNS, GOODS, RegisterName
from gateway.goods.form import form_of_file, read_register
from gateway.goods.handing_in import hand_in, take_back
from gateway.goods.register import Register, entries
from gateway.model import EnterpriseId
from gateway.upkeep.operator_acts import who

_Command = Callable[..., Any]
_books: Final = click.option("--books", is_flag=True, help="Switches of books and record numbers, not goods.")
_charset: Final = click.option(
    "--charset", default="", help="Of CSV: utf-8 (default), gb18030, gbk or gb2312."
)


def _enterprise(command: _Command) -> _Command:
    return click.option("--enterprise", "-e", "owner", required=True, help="Name of the enterprise.")(command)


@click.group()
def goods() -> None:
    """Check, hand in and show what enterprises have registered of their goods."""


@goods.command()
@document_argument
@_books
@_charset
@json_option
def check(document: Path, books: bool, charset: str, as_json: bool) -> None:
    """Check a CSV, XLSX or JSON file of goods without handing it in; FILE ends in .xlsx or .json, or is taken for CSV.

    Exit code 1: rows are wrong; every one is named with line and column.
    """
    register = _read(document, books=books, charset=charset, as_json=as_json)
    if register is not None:
        _tell(document, _name(books), register, as_json=as_json)


@goods.command()
@document_argument
@_enterprise
@_books
@_charset
@config_option
@json_option
def put(*, document: Path, owner: str, books: bool, charset: str, file: Path, as_json: bool) -> None:
    """Hand in a file for an enterprise in place of its earlier one; in force at every door within seconds.

    Exit code 1: rows are wrong, and the earlier one stays in force.
    """
    config = load_config(file)
    _known(config, owner)
    register = _read(document, books=books, charset=charset, as_json=as_json)
    if register is None:
        return
    form = f"{_form(document)}; charset={charset}" if charset else _form(document)
    _need_spool(config)
    with open_spool(config) as spool:
        version = hand_in(spool, owner, _name(books), register, body=read(document), form=form, by=who())
    _tell(document, _name(books), register, as_json=as_json, version=version, enterprise=owner)


@goods.command()
@_enterprise
@_books
@click.option("--item", default="", help="Show the rows of this item number.")
@click.option("--content", is_flag=True, help="Write what was handed in, byte for byte.")
@config_option
@json_option
def show(*, owner: str, books: bool, item: str, content: bool, file: Path, as_json: bool) -> None:
    """Show what is in force for an enterprise. Exit code 1: nothing is."""
    config, name = load_config(file), _name(books)
    with open_spool(config) as spool:
        found = spool.register(owner, name)
        body = spool.register_body(owner, name) if content else None
    if found is None:
        _nothing(owner)
        return
    if body is not None:
        deliver(body, None)
        return
    register = stored_books(found) if books else stored_goods(found)
    rows = entries(register, item or None)
    if as_json:
        emit(
            {
                "enterprise": owner, "register": name, "version": found.version, "rows": register.rows,
                "sha256": register.sha256, "form": found.form, "at": found.at, "entries": rows,
            }
        )  # fmt: skip
        return
    facts(
        {
            "enterprise": owner,
            "register": name,
            "version": str(found.version),
            "rows": str(register.rows),
            "sha256": register.sha256,
            "handed in": instant(found.at),
        }
    )
    if rows:
        names = [one.name for one in COLUMNS[name] if any(one.name in row for row in rows)]
        echo("")
        tables.table(names, ([row.get(one, "") for one in names] for row in rows))


@goods.command()
@_enterprise
@_books
@config_option
def drop(owner: str, books: bool, file: Path) -> None:
    """Take back what is in force for an enterprise. Exit code 1: nothing is."""
    with open_spool(load_config(file)) as spool:
        done = take_back(spool, owner, _name(books), by=who())
    if not done:
        _nothing(owner)


def _name(books: bool) -> RegisterName:
    return BOOKS if books else GOODS


def _form(document: Path) -> str:
    return form_of_file(document.name)


def _read(document: Path, *, books: bool, charset: str, as_json: bool) -> Register | None:
    """Read a file; None, and the exit code is set: it is not in order, and what is wrong was told."""
    try:
        return read_register(_name(books), read(document), _form(document), charset)
    except Refused as refused:
        if as_json:
            emit({"file": str(document), "valid": False, "faults": refused.faults})
        for fault in () if as_json else refused.faults:
            say("error", fault.message, str(document), fault.fix)
            echo(f"  {fault.message_zh}", err=True)
        click.get_current_context().exit(NOT_IN_ORDER)


def _tell(
    document: Path,
    name: RegisterName,
    register: Register,
    *,
    as_json: bool,
    version: int | None = None,
    enterprise: str = "",
) -> None:
    said = {"file": str(document), "register": name, "enterprise": enterprise}
    if as_json:
        emit({**said, "valid": True, "version": version, "rows": register.rows, "sha256": register.sha256})
        return
    number = "" if version is None else str(version)
    facts({**said, "version": number, "rows": str(register.rows), "sha256": register.sha256})


def _known(config: Config, owner: str) -> None:
    known = enterprises_of(config)
    if EnterpriseId(owner) not in known:
        raise ConfigError(
            f"there is no enterprise {owner}", where="--enterprise", fix=f"one of: {', '.join(sorted(known))}"
        )


def _need_spool(config: Config) -> None:
    """Refuse to hand anything in to a spool that is not there yet. Raises ConfigError."""
    if config.spool.kind == "sqlite" and not (config.node.state_dir / "spool.db").exists():
        raise ConfigError(
            "there is no spool yet", where=str(config.node.state_dir), fix="start `gateway run` once"
        )


def _nothing(owner: str) -> None:
    say("error", f"nothing is registered for {owner}", fix="`gateway goods put FILE --enterprise NAME`")
    click.get_current_context().exit(NOT_IN_ORDER)
