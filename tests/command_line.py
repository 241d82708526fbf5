"""The command line for tests, in this process, on sites that are real in every part."""

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gateway.app.build import App
from gateway.cli.root import root
from spool.entry import Fate, Settlement
from tests.in_process import bring_in, take_in


def invoke(*arguments: object) -> Result:
    """Run one command; what it should not raise, it must not raise."""
    return CliRunner().invoke(root, [str(argument) for argument in arguments], catch_exceptions=False)


def lines(result: Result) -> list[dict[str, Any]]:
    """Read JSON lines; stdout must hold nothing else."""
    return [json.loads(line) for line in result.stdout.splitlines()]


@dataclass(frozen=True, kw_only=True)
class Node:
    """A site whose spool is filled and emptied by hand, without processes."""

    app: App

    def accept(self, *bodies: bytes, owner: str = "demo") -> list[str]:
        """Take bodies in as the door does; the ids they got."""
        with closing(self.app.spool()) as spool:
            return [take_in(self.app, spool, owner, body) for body in bodies]

    def settle(self, fate: Fate, *, error: str = "", limit: int = 100) -> None:
        """Claim what is due, and have every attempt end like this."""
        spool = self.app.spool()
        claimed = spool.claim("test", "customs", limit=limit, lease_s=60)
        spool.settle(
            [
                Settlement(
                    entry=one.entry,
                    claim=one.claim,
                    fate=fate,
                    error=error,
                    next_at=datetime(2099, 1, 1, tzinfo=UTC) if fate is Fate.DEFERRED else None,
                    sent_sha256=sha256(one.body).digest() if fate is Fate.DELIVERED else b"",
                )
                for one in claimed
            ]
        )
        spool.close()

    def collect(self, *bodies: bytes) -> None:
        """Bring answers in as the collect role does."""
        with closing(self.app.spool()) as spool:
            bring_in(self.app, spool, bodies)

    def run(self, *arguments: object) -> Result:
        """Run a command with this configuration."""
        return invoke(*arguments, "-c", self.app.file)


def node_at(folder: Path) -> Node:
    """Open the site in a folder."""
    return Node(app=App(folder / "gateway.toml"))
