"""`gateway signer`: serves the keys of this machine to gateways elsewhere."""

import signal
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

import click
from cryptography.hazmat.primitives import serialization

from gateway.cli.output import deliver
from gateway.config.gateway_toml import load_config
from gateway.config.keys import DEVICES
from gateway.errors import ConfigError
from gateway.keys.keyring import show_certificate
from gateway.keys.signer_service import SignerConfig, SignerService, load_signer_config
from gateway.observe.defects import capture_libraries
from gateway.observe.log import configure_logs
from signing.keys.certificate import read_certificate


@click.command()
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default=Path("signer.toml"),
    show_default=True,
    help="The configuration: [signer] and [[key]] tables.",
)
@click.option(
    "--retry-pin", is_flag=True, help="Try PINs again that a device refused: you have seen to them."
)
@click.option(
    "--show-certificate",
    "shown",
    metavar="KEY",
    help="Write the certificate that the device of this key holds, as PEM, and end.",
)
def signer(*, file: Path, retry_pin: bool, shown: str | None) -> None:
    """Serve "sign these bytes" over HTTPS with mutual TLS until SIGTERM (docs/signer.md).

    SIGHUP reads the configuration again and tries PINs again that were refused.
    """
    if shown is not None:
        deliver(_certificate(file, shown).encode(), None)
        return
    config = load_signer_config(file)
    configure_logs("info")
    capture_libraries()
    _serve(config, file, operator=retry_pin)


def _certificate(file: Path, name: str) -> str:
    """Read the certificate, as PEM, from a device of signer.toml or, if that cannot be read, gateway.toml."""
    try:
        keys = load_signer_config(file).key
    except ConfigError as error:
        try:
            keys = load_config(file).key
        except ConfigError:
            raise error from None
    table = next((key for key in keys if key.name == name and key.kind in DEVICES), None)
    if table is None:
        devices = ", ".join(key.name for key in keys if key.kind in DEVICES)
        raise ConfigError(f"no [[key]] with a device: {name}", fix=f"one of: {devices}")
    der = show_certificate(table)
    return read_certificate(der).public_bytes(serialization.Encoding.PEM).decode()


def _serve(config: SignerConfig, file: Path, *, operator: bool) -> None:
    asked = threading.Event()
    stop = False

    def wake(number: int, _frame: FrameType | None) -> None:
        nonlocal stop
        stop = stop or number != getattr(signal, "SIGHUP", None)
        asked.set()

    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        with suppress(AttributeError):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), wake)
    while not stop:
        asked.clear()
        service = _open(config, operator=operator)
        service.start()
        asked.wait()
        service.stop()
        if not stop:
            config, operator = load_signer_config(file), True


def _open(config: SignerConfig, *, operator: bool) -> SignerService:
    try:
        return SignerService(config, operator=operator)
    except OSError as error:
        raise ConfigError(
            f"cannot listen: {error.strerror}",
            where=f"signer.host {config.signer.host}, signer.port {config.signer.port}",
            fix="choose a free port, or stop the program that has it",
        ) from error
