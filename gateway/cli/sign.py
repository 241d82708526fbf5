"""`gateway sign`: splices the signature in; cutting it out again must give the original bytes.

The same keys sign the uploads of notice 179.
"""

from pathlib import Path

import click

from gateway.cli.failure import say
from gateway.cli.keys import KeySource, find_signer
from gateway.cli.options import document_argument, out_option
from gateway.cli.output import deliver
from gateway.cli.validate import read
from gateway.rules.loading import RULES, load_catalogue
from gateway.xml.envelope import root_name
from signing.errors import SigningError
from signing.keys.files import FileSigner, Signer
from signing.keys.suite import SUITES
from signing.notice179 import sign_upload
from signing.xml.splice import cut
from signing.xml.splice import sign as splice


@click.command()
@document_argument
@click.option(
    "--key",
    "name",
    default="",
    metavar="K",
    help="Key file, folder with one, or a [[key]]; default: the default key of the configuration.",
)
@click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificate of a PEM key; default: in the key file, or beside it as NAME.crt.",
)
@click.option("--pkcs12", is_flag=True, help="The key file is PKCS#12, whatever its name ends in.")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds the password of the key.",
)
@click.option(
    "--suite",
    type=click.Choice([suite.name for suite in SUITES]),
    help="What a key file signs; must fit its certificate. Default: rsa-sha1 or sm2-sm3.",
)
@click.option(
    "--notice-179",
    "is_upload",
    is_flag=True,
    help="FILE is the JSON of a notice 179 upload: add certNo and signValue.",
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    default=Path("gateway.toml"),
    show_default=True,
    help="The configuration, when K is no file.",
)
@out_option
def sign(
    *,
    document: Path,
    name: str,
    certificate: Path | None,
    pkcs12: bool,
    password_file: Path | None,
    suite: str | None,
    is_upload: bool,
    config: Path,
    out: Path | None,
) -> None:
    """Sign FILE; the signed document goes to stdout or OUT. Exit code 1: it cannot be signed as it is.

    The Signature stands before the root end tag, in export messages before ExtendMessage; no other byte
    changes: byte order mark, line ends and encoding stay. The JSON of a notice 179 upload must be compact, as it
    will be sent; its signature is over the text of its values.
    """
    source = KeySource(
        certificate=certificate, password_file=password_file, pkcs12=pkcs12, suite=suite or "", config=config
    )
    signer = find_signer(name, source)
    body = read(document)
    signed = sign_upload(body, signer) if is_upload else _spliced(body, signer, document)
    if isinstance(signer, FileSigner):
        for warning in signer.warnings:
            say("warning", warning)
    deliver(signed, out)


def _spliced(body: bytes, signer: Signer, document: Path) -> bytes:
    kind = load_catalogue(RULES / "mappings" / "catalogue.toml").by_name(root_name(body))
    signed = splice(body, signer, before=kind.signature_before if kind else "")
    if cut(signed.body, signed.span) != body:
        raise SigningError(
            "signing changed other bytes; nothing was written", where=str(document), fix="report this defect"
        )
    return signed.body
