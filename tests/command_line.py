"""The command line for tests, in this process, on sites that are real in every part."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gateway.app.build import App
from gateway.cli.root import root
from gateway.model import EnterpriseId, Message
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import examine
from spool.entry import Accepted, Collected, Fate, Settlement


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
        caller = self.app.enterprises[EnterpriseId(owner)]
        limits = self.app.config.accept.limits
        spool = self.app.spool()
        uids = []
        for body in bodies:
            message = examine(body, caller, self.app.rules, limits)
            assert isinstance(message, Message), message
            uid = new_message_id(datetime.now(UTC))
            new = new_message_of(
                message, caller, uid=uid, config=self.app.config, local_receivers=self.app.local_receivers
            )
            (reply,) = spool.put([new])
            assert isinstance(reply, Accepted), reply
            uids.append(str(uid))
        spool.close()
        return uids

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
        spool = self.app.spool()
        spool.keep(_collected(bodies))
        self.app.filer(spool).file_waiting()
        spool.close()

    def run(self, *arguments: object) -> Result:
        """Run a command with this configuration."""
        return invoke(*arguments, "-c", self.app.file)


def _collected(bodies: Sequence[bytes]) -> list[Collected]:
    return [
        Collected(feed="customs", name=f"receipt-{number}.xml", body=body, sha256=sha256(body).digest())
        for number, body in enumerate(bodies, 1)
    ]


def node_at(folder: Path) -> Node:
    """Open the site in a folder."""
    return Node(app=App(folder / "gateway.toml"))
