"""parcel_links: what linking a message to the other documents of its parcel costs when it is accepted."""

import random
import resource
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from bench.figure import Figure
from gateway.config.gateway_toml import Config, Destination, LimitsConfig, Node, Signing
from gateway.config.links import Folder
from gateway.model import Enterprise, EnterpriseId, Message
from gateway.parcels.facts import Linker
from gateway.rules.loading import Rules, load_rules
from gateway.samples.compose import compose_trade
from gateway.submission.new_messages import new_message_id, new_message_of
from gateway.submission.pipeline import Link, examine, no_links
from spool.sqlite import SqliteSpool
from spool.store import Spool

_BATCH: Final = 64
_TURNS: Final = 10
_CODE, _DXP_ID = "4400000001", "DXPENT0000000001"
OURS: Final = Enterprise(
    id=EnterpriseId("bench"), name="Bench", cop_codes=frozenset({_CODE}), dxp_ids=frozenset({_DXP_ID})
)
CONFIG: Final = Config(
    node=Node(name="bench", state_dir=Path("state"), dxp_id=_DXP_ID),
    signing=Signing(default_key="none"),
    key=(),
    destination=(Destination(name="customs", folder=Folder(send_dir=Path("in"), receive_dir=Path("out"))),),
)


def parcel_links(*, messages: int) -> Figure:
    """Measure the CPU of judging and storing a message with links over that without, in turns, on two spools of SQLite.

    The four documents of a purchase each, in commits of 64. The signature and HTTP are left out, so the true share is smaller.
    """
    rules, rng = load_rules(), random.Random(1)  # noqa: S311 (invented data)
    linkers: dict[str, Link] = {"without": no_links, "with": Linker(b"secret of the bench, of 32 bytes")}
    spent: dict[str, list[float]] = {name: [] for name in linkers}
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        for turn in range(_TURNS):
            bodies = trades(max(_BATCH, messages // _TURNS), rng)
            names = list(linkers) if turn % 2 else list(linkers)[::-1]
            for name in names:
                with closing(SqliteSpool(Path(folder) / name)) as spool:
                    spent[name].append(accept(bodies, linkers[name], rules, spool))
        sizes = {name: (Path(folder) / name / "spool.db").stat().st_size for name in linkers}
    each, ratio = {name: median(values) for name, values in spent.items()}, _ratio(spent)
    return Figure(
        measure="parcel_links",
        value=round(ratio, 3),
        unit="ratio",
        n=messages,
        detail={
            **{f"cpu_us_{name}": round(value, 1) for name, value in each.items()},
            "bytes_per_message": round((sizes["with"] - sizes["without"]) / messages),
            "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        },
    )


def _ratio(spent: dict[str, list[float]]) -> float:
    """Return the median of the turns' ratios: both halves of a turn have the same machine."""
    return median(a / b for a, b in zip(spent["with"], spent["without"], strict=True))


def trades(messages: int, rng: random.Random) -> list[bytes]:
    """Compose at least so many messages of one declaration, the four documents of a purchase after each other."""
    found: list[bytes] = []
    while len(found) < messages:
        found += [one.body for one in compose_trade(cop_code=_CODE, dxp_id=_DXP_ID, rng=rng)]
    return found


def accept(bodies: Sequence[bytes], link: Link, rules: Rules, spool: Spool) -> float:
    """Judge and store these; microseconds of CPU a message."""
    began = time.process_time_ns()
    for start in range(0, len(bodies), _BATCH):
        new = []
        for body in bodies[start : start + _BATCH]:
            message = examine(body, OURS, rules, LimitsConfig(), link=link)
            assert isinstance(message, Message), message  # noqa: S101 (composed by our own schema)
            new.append(new_message_of(message, OURS, uid=new_message_id(datetime.now(UTC)), config=CONFIG))
        spool.put(new)
    return (time.process_time_ns() - began) / 1000 / len(bodies)
