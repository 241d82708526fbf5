"""The systems that measures run on: a gateway and a customs side on this machine.

Customs answers each declaration once and does not verify signatures: its cost is not part of the measures.
"""

from pathlib import Path
from typing import Final

from bench.load import ENTERPRISES
from gateway.simulator.world import LocalWorld, TransportName

WARM: Final = 64
"""Messages before a measure, to warm up schemas, connections, caches."""


def world(folder: Path, *, transport: TransportName = "amqp", bodies: int = 1) -> LocalWorld:
    """Return a LocalWorld, not started; `bodies`: answers in one receipt message at most.

    Its journal is sealed in every round of the keep role, not every minute, so that a measure includes the sealing.
    """
    script = {"final_only": True, "check_signatures": False, "batch": bodies}
    made = LocalWorld(folder, transport=transport, script=script, enterprises=ENTERPRISES)
    text = made.site.config.read_text("utf-8")
    made.site.config.write_text(text.replace("[journal]\n", "[journal]\nevents = 1\n"), "utf-8")
    return made
