"""The worlds that measures run in: a gateway and a customs side on this machine, for which nothing is judged slow.

Customs answers each declaration once and does not verify signatures: what it costs is not to be measured.
"""

from pathlib import Path
from typing import Final

from bench.load import ENTERPRISES
from gateway.simulator.world import LocalWorld, TransportName

WARM: Final = 64
"""Messages before a measure: schemas, connections, caches."""


def world(folder: Path, *, transport: TransportName = "amqp", bodies: int = 1) -> LocalWorld:
    """Return a world, not started; `bodies`: answers in one receipt message at most.

    Its journal is sealed in every round of the keeper, not every minute: that belongs to the messages of a measure.
    """
    script = {"final_only": True, "check_signatures": False, "batch": bodies}
    made = LocalWorld(folder, transport=transport, script=script, enterprises=ENTERPRISES)
    text = made.site.config.read_text("utf-8")
    made.site.config.write_text(text.replace("[journal]\n", "[journal]\nevents = 1\n"), "utf-8")
    return made
