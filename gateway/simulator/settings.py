"""Reads simulator.toml into one frozen `SimulatorConfig`; paths are relative to the folder of the file."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from gateway.config.editions import EditionName
from gateway.config.files import absolute, read_section
from gateway.config.links import Port
from gateway.config.sections import Count, Section
from gateway.simulator.script import Script


class SftpSection(Section, kw_only=True):
    """`[sftp]`: the SFTP server of the customs side."""

    root: Path
    """Folder that holds `incoming` and `outgoing`; created when missing."""
    host_key: Path
    """Private key file of the server, OpenSSH form."""
    authorized_keys: Path
    host: str = "127.0.0.1"
    port: Port = 0
    """0: the system chooses."""
    incoming: str = "in"
    outgoing: str = "out"


class AmqpSection(Section, kw_only=True):
    """`[amqp]`: the AMQP 1.0 listener of the customs side; needs the extra `amqp`."""

    host: str = "127.0.0.1"
    port: Port = 0
    outgoing: str = "receipts"
    """Address from which receipts are sent."""


class UkeySection(Section, kw_only=True):
    """`[[ukey]]`: E-Port's USB key behind its control (docs/spec/ukey.md); needs the extra `ukey`."""

    key: Path
    """PEM; `certificate` belongs to it."""
    certificate: Path
    pin: str = "12345678"
    host: str = "127.0.0.1"
    port: Port = 61232
    sign_s: Annotated[float, Meta(ge=0)] = 0.24
    """Seconds for one signature: 250 a minute."""
    dark: bool = False
    """It takes requests and never answers."""
    reader_errors: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of the signatures that fail in the card reader."""
    locks_after: Count = 5
    """Wrong PINs in a row after which the card locks."""
    late_answers: bool = False
    """Before each answer the previous one is sent again, as if its request had been given up."""
    seed: int = 1


class SimulatorConfig(Section, kw_only=True):
    """The whole of simulator.toml."""

    script: Script = Script()
    sftp: SftpSection | None = None
    amqp: AmqpSection | None = None
    ukey: tuple[UkeySection, ...] = ()
    ledger: Path | None = None
    """JSON lines, one for each envelope that arrived; its folder must exist."""
    receipts: Path | None = None
    """JSON lines, one for each receipt body that was sent."""
    edition: EditionName = "202205"
    """The edition by which messages are judged."""
    rules_dir: Path | None = None


def load_simulator_config(file: Path) -> SimulatorConfig:
    """Read simulator.toml; unknown keys are errors. Raises ConfigError."""
    return absolute(read_section(file, SimulatorConfig), file.resolve().parent)
