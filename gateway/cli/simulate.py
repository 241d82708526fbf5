"""`gateway simulate`: simulates the customs side, scripted and seeded, until SIGTERM."""

from pathlib import Path
from typing import Final

import click

from gateway.cli.output import deliver
from gateway.errors import ConfigError
from gateway.observe.defects import capture_libraries
from gateway.observe.log import configure_logs
from gateway.simulator.service import Simulator
from gateway.simulator.settings import load_simulator_config


@click.command()
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default=Path("simulator.toml"),
    show_default=True,
    help="The switches of the customs side.",
)
@click.option("--write-config", is_flag=True, help="Print a commented example and end.")
def simulate(file: Path, write_config: bool) -> None:
    """Play the customs side over SFTP and AMQP 1.0 until SIGTERM: checks what arrives and answers it.

    The same seed gives the same answers to the same declarations in every run.
    """
    if write_config:
        deliver(EXAMPLE.encode(), None)
        return
    configure_logs("info")
    capture_libraries()
    try:
        Simulator(load_simulator_config(file)).run()
    except OSError as error:
        raise ConfigError(
            f"the simulator cannot start: {error}",
            where=str(file),
            fix="see to the file or port that it names",
        ) from error


EXAMPLE: Final = """\
# The simulated customs side: `gateway simulate -c simulator.toml`.
# Relative paths count from the folder of this file.

# What arrived and what was answered, a JSON object a line; the folder must be there.
# ledger = "ledger.jsonl"
# receipts = "receipts.jsonl"
# The edition by which messages are judged, "202205" or "2018-113".
# edition = "202205"
# A folder with xsd/ and mappings/ to use in place of the built-in ones.
# rules_dir = "rules"

[sftp]
# Holds the folders `in` (from the gateway) and `out` (receipts); made when it is not there.
root = "customs"
host = "127.0.0.1"
# 0 lets the system choose; the log says which.
port = 2222
# ssh-keygen -q -t ed25519 -N '' -f customs_host_key
host_key = "customs_host_key"
# Public keys that may log in, as in OpenSSH's file of that name; options are not supported.
authorized_keys = "authorized_keys"

# AMQP 1.0 (needs the extra `amqp`):
# [amqp]
# host = "127.0.0.1"
# port = 5672
# outgoing = "receipts"

# E-Port's USB key behind its WebSocket control (needs the extra `ukey`); several are possible:
# [[ukey]]
# key = "card.key"
# certificate = "card.crt"
# pin = "12345678"
# port = 61232
# sign_s = 0.24            # one signature takes so long
# dark = false             # requests are taken and never answered
# reader_errors = 0.0      # share of the signatures that the card reader spoils
# locks_after = 5          # wrong PINs in a row
# late_answers = false     # the answer to the request before comes once more before each

[script]
# The same seed gives the same answers to the same declarations in every run.
seed = 1
# Least and most seconds between two receipts of one declaration.
delay_s = [0.0, 1.0]

# Numbers that end in a marker (-T100, -TNONE …; docs/sandbox.md) get the outcome of that marker.
magic = true
# How long the answers to a number that ends in -TLATE are kept back, in seconds.
late_s = 5.0

# Shares from 0 (never) to 1 (always):
# receipts sent twice, and neighbours that change places on the way
duplicates = 0.0
reorder = 0.0
# new declarations returned with 100, or answered with a negative code
refuse = 0.0
negative = 0.0
# messages answered by a format error (CEB900), by the exchange platform (DxpRep), or never
ceb900 = 0.0
dxprep = 0.0
silence = 0.0
# messages that the exchange platform asks to have sent again (DxpRep 3001 to 3003), and how often before it takes them
bounce = 0.0
bounces = 1
# receipts about unknown declarations, and answers that are no XML
unmatched = 0.0
garbage = 0.0
# receipts that leave out the optional owner codes
bare = 0.0
# inventories held for review or inspection before release, and closed (899) afterwards
inspect = 0.0
close = 0.0

# Bodies in one receipt message at most, 1 to 100.
batch = 1
# Refuse a new declaration under a business key that is on file.
refuse_duplicates = false
# Verify signatures; without it only the schema asks for them.
check_signatures = true
# Bytes of a business message from which on it is refused as a format error.
large = 4194304
"""
