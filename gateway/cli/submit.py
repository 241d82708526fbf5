"""`gateway submit`: submits messages as a platform does, and can wait for the answers of customs."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import click
from msgspec import UNSET

from gateway.cli import tables
from gateway.cli.advice import summary, tell_advice
from gateway.cli.code_meanings import meaning_text
from gateway.cli.failure import NOT_IN_ORDER, say
from gateway.cli.options import documents, files_argument, json_option
from gateway.cli.output import emit
from gateway.cli.submit_imports import ImportOptions, hand_in
from gateway.cli.terminal import echo
from gateway.cli.validate import read
from gateway.cli.wait import DecisionWait
from gateway.client import GatewayClient, ProblemView, Submitted
from gateway.errors import ConfigError, DeliveryError
from gateway.views.api import AnswerView

SubmitResult = Submitted | ProblemView | DeliveryError
_UNAUTHORISED: Final = 401


@click.command()
@files_argument
@click.option("--to", "url", required=True, metavar="URL", help="The gateway: http://127.0.0.1:8080")
@click.option("--token", default="", help="Bearer token; --token-file keeps it off the process list.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds the token.",
)
@click.option("--wait", is_flag=True, help="Wait until customs has decided about every declaration.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds that --wait waits at most, and that a gateway out of reach is tried again.",
)
@click.option(
    "--mapping",
    "mappings",
    multiple=True,
    metavar="NAME",
    help="FILE… are sheets or JSON, made into messages by this mapping; several times for several message types.",
)
@click.option("--charset", default="", help="With --mapping: charset of CSV, when its bytes do not say it.")
@click.option(
    "--app-time",
    default="",
    metavar="YYYYMMDDhhmmss",
    help="With --mapping: appTime where the source says none; default: when FILE was last changed.",
)
@click.option(
    "--all-or-nothing",
    is_flag=True,
    help="With --mapping: make no message unless every declaration is sound.",
)
@click.option(
    "--refused",
    "refused_dir",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    help="With --mapping: folder for NAME.refused.xlsx, the refused rows with the reasons.",
)
@json_option
def submit(
    *,
    paths: tuple[Path, ...],
    url: str,
    token: str,
    token_file: Path | None,
    wait: bool,
    timeout_s: float,
    as_json: bool,
    mappings: tuple[str, ...],
    charset: str,
    app_time: str,
    all_or_nothing: bool,
    refused_dir: Path | None,
) -> None:
    """Hand FILE… in; folders are searched for *.xml. The same file twice is one message.

    With --mapping, FILE… are sources of many declarations (XLSX, CSV, JSON, NDJSON): each becomes an import, which is
    watched until it is over.

    Exit code 1: something was refused, by the gateway or with --wait by customs, or is not decided in time.
    Nothing is acknowledged: whoever fetches receipts for good still gets all of them.
    """
    client = GatewayClient(url, _token(token, token_file), patience_s=timeout_s)
    if mappings:
        if wait:
            raise click.UsageError("--wait is for messages; with --mapping the import is waited for anyway")
        wanted = ImportOptions(
            mappings, charset, app_time, all_or_nothing=all_or_nothing, refused_dir=refused_dir
        )
        with closing(client):
            in_order = hand_in(client, paths, wanted, as_json=as_json)
        if not in_order:
            click.get_current_context().exit(NOT_IN_ORDER)
        return
    try:
        results = _submit(client, documents(paths), as_json=as_json and not wait)
        taken = {path: one for path, one in results.items() if isinstance(one, Submitted)}
        watch = DecisionWait(client, taken.values())
        if wait:
            watch.until_decided(timeout_s)
    finally:
        client.close()
    if wait or not as_json:
        for path, result in results.items():
            _emit(path, result, watch, wait=wait) if as_json else _tell(path, result, watch, wait=wait)
    in_order = len(taken) == len(results) and (not wait or watch.all_accepted())
    if not in_order:
        _conclude(results, watch, wait=wait)
        click.get_current_context().exit(NOT_IN_ORDER)


def _token(token: str, file: Path | None) -> str:
    if bool(token) == (file is not None):
        raise click.UsageError("give --token or --token-file")
    if file is None:
        return token
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the token: {error}", where=str(file)) from error


def _submit(client: GatewayClient, files: Sequence[Path], *, as_json: bool) -> dict[Path, SubmitResult]:
    results: dict[Path, SubmitResult] = {}
    lost: DeliveryError | None = None
    for path in tables.progress(files, "submitting", speaks=as_json):
        result: SubmitResult
        try:
            result = lost or client.submit(read(path))
        except DeliveryError as error:
            result = lost = error  # each further file would only wait as long again
        if isinstance(result, ProblemView) and result.status == _UNAUTHORISED:
            raise ConfigError(
                "the gateway knows nobody with this token",
                fix="see --token, or ask its operator for a new one",
            )
        results[path] = result
        if as_json:
            _emit(path, result, None, wait=False)
    return results


def _emit(path: Path, result: SubmitResult, watch: DecisionWait | None, *, wait: bool) -> None:
    match result:
        case Submitted():
            message = result.message
            told = [
                {
                    "key": one.key,
                    "guid": one.guid,
                    **_outcome(watch, message.message_type, one.key, wait=wait),
                }
                for one in message.declarations
            ]
            emit(
                {
                    "file": str(path), "state": "accepted" if result.first else "known", "id": message.id,
                    "sha256": message.sha256, "message_type": message.message_type,
                    "edition": message.edition, "declarations": told, "advice": message.advice,
                    **({} if message.edition_notice is UNSET else {"edition_notice": message.edition_notice}),
                }
            )  # fmt: skip
        case ProblemView():
            emit({"file": str(path), "state": "refused", "problem": result})
        case DeliveryError():
            emit({"file": str(path), "state": "failed", "error": str(result)})


def _outcome(
    watch: DecisionWait | None, message_type: str, key: Mapping[str, str], *, wait: bool
) -> dict[str, object]:
    if watch is None or not wait:
        return {}
    answers = watch.answers(message_type, key)
    return {"outcome": watch.outcome(message_type, key), "answers": [_answer(one) for one in answers]}


def _answer(one: AnswerView) -> dict[str, object]:
    return {
        "message_type": one.message_type,
        "status": one.status,
        "meaning": one.meaning,
        "time": one.time,
        "info": one.info,
    }


def _tell(path: Path, result: SubmitResult, watch: DecisionWait, *, wait: bool) -> None:
    match result:
        case Submitted():
            message = result.message
            known = "" if result.first else ", known already"
            advice = message.advice or ()
            echo(f"{path}: accepted{known}, {message.message_type} {message.id}")
            if message.edition_notice is not UNSET:
                echo(f"  {message.edition_notice.message}")
                echo(f"  {message.edition_notice.message_zh}")
            if advice:
                echo(f"  advice: {summary(advice)}")
                tell_advice(advice, indent="    ")
            if wait:
                for one in message.declarations:
                    _tell_declaration(message.message_type, one.key, watch)
        case ProblemView():
            echo(f"{path}: REFUSED, {result.status} {result.title} / {result.title_zh}")
            _tell_faults(result)
        case DeliveryError():
            echo(f"{path}: NOT handed in")


def _tell_declaration(message_type: str, key: Mapping[str, str], watch: DecisionWait) -> None:
    name = " ".join(f"{field}={value}" for field, value in key.items())
    echo(f"  {name}: {watch.outcome(message_type, key)}")
    for one in watch.answers(message_type, key):
        echo(f"    {one.time}  {one.message_type} {one.status}  {meaning_text(one.meaning)}  {one.info}")


def _tell_faults(problem: ProblemView) -> None:
    if not problem.faults and problem.detail:
        echo(f"  {problem.detail}")
    for fault in problem.faults:
        line = f"line {fault['line']}, column {fault.get('column', 0)}" if fault.get("line") else ""
        place = "  ".join(part for part in (line, str(fault.get("path", ""))) if part)
        texts = (str(fault.get(name) or "") for name in ("message", "message_zh", "fix", "fix_zh"))
        for text in (place, *texts):
            if text:
                echo(f"  {text}")


def _conclude(results: Mapping[Path, SubmitResult], watch: DecisionWait, *, wait: bool) -> None:
    refused = sum(isinstance(one, ProblemView) for one in results.values())
    failed = [one for one in results.values() if isinstance(one, DeliveryError)]
    if refused:
        say("error", f"{refused} of {len(results)} messages were refused by the gateway")
    if failed:
        say(
            "error",
            f"{len(failed)} of {len(results)} not handed in: {failed[0].what}",
            failed[0].where,
            failed[0].fix,
        )
    if wait:
        _conclude_wait(watch.outcomes())


def _conclude_wait(outcomes: Iterable[str]) -> None:
    counted = list(outcomes)
    for outcome, text in (("refused", "were refused by customs"), ("open", "are not decided yet")):
        if outcome in counted:
            say("error", f"{counted.count(outcome)} of {len(counted)} declarations {text}")
