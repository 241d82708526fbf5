"""overhead_advice: what advice adds to the CPU of accepting a message, between two nodes in turns, one of which gives none."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from statistics import median
from types import MappingProxyType
from typing import Final

from bench.figure import Figure
from bench.load import ENTERPRISES, KIND, Job, submit
from bench.processes import children, cpu_ns, pids
from bench.worlds import WARM, world
from gateway.rules.loading import load_rules
from gateway.samples.compose import compose
from gateway.simulator.world import LocalWorld

_TURNS: Final = 20
_SOUND: Final[Mapping[str, str]] = MappingProxyType(
    {
        "buyerIdNumber": "11010519491231002X", "payCode": "31222699S7", "ebpCode": "3101960E01", "ebcCode": "3101960E02",
        "unit": "007", "country": "502", "consigneeDistrict": "310115",
    }
)  # fmt: skip
"""Values that no rule objects to, in place of those of the samples that are wrong on purpose; the number is the standard's own."""
_LOADS: Final[Mapping[str, tuple[int, Mapping[str, str]]]] = MappingProxyType(
    {"single": (1, _SOUND), "batch100": (100, _SOUND), "flawed": (1, {}), "flawed_batch100": (100, {})}
)
"""Name → declarations a message, and what is put right in them."""
_WITHOUT: Final = "without"


def overhead_advice(*, messages: int, batches: int) -> Figure:
    """Measure accepting a message, from the socket to the answer, with the shipped rules over with none in force.

    The CPU of the accept role and of the judges that it asks, a message; the median of the turns' ratios. Customs is down, so
    nothing else goes on. `value`: of single sound declarations.
    """
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
        world(Path(folder) / "with") as advising,
        _unadvised(Path(folder) / _WITHOUT) as silent,
    ):
        rng = Random(11)  # noqa: S311 (invented data)
        nodes = {"with": advising, _WITHOUT: silent}
        for one in nodes.values():
            assert one.customs is not None  # noqa: S101 (it is running)
            one.customs.stop()
        found = {
            name: _compared(nodes, messages if bodies == 1 else batches, bodies, overrides, rng)
            for name, (bodies, overrides) in _LOADS.items()
        }
    return Figure(
        measure="overhead_advice",
        value=found["single"]["ratio"],
        unit="ratio",
        n=messages,
        detail={f"{name}_{what}": value for name, of in found.items() for what, value in of.items()},
    )


def _unadvised(folder: Path) -> LocalWorld:
    """Return a node on which every rule is switched off."""
    made = world(folder)
    rules = made.site.folder / "no-advice"
    rules.mkdir()
    text = "".join(f"[{name}]\noff = true\n" for name in load_rules().rulebook.rules)
    (rules / "off.toml").write_text(text, "utf-8")
    config = made.site.config
    told = config.read_text("utf-8").replace("[rules]\n", f'[rules]\nadvice_dir = "{rules}"\n')
    config.write_text(told, "utf-8")
    return made


def _compared(
    nodes: Mapping[str, LocalWorld], count: int, bodies: int, overrides: Mapping[str, str], rng: Random
) -> dict[str, float]:
    """Return the ratio, and microseconds of CPU a message with and without."""
    each = max(1, count // _TURNS)
    for one in nodes.values():
        submit(one, _jobs(rng, max(1, WARM // bodies), bodies, overrides))
    spent: dict[str, list[float]] = {name: [] for name in nodes}
    for turn in range(_TURNS):
        for name in sorted(nodes, reverse=bool(turn % 2)):
            spent[name].append(_spend(nodes[name], _jobs(rng, each, bodies, overrides)))
    ratios = [one / other for one, other in zip(spent["with"], spent[_WITHOUT], strict=True)]
    return {"ratio": round(median(ratios), 3)} | {
        f"{name}_us": round(median(values), 1) for name, values in spent.items()
    }


def _spend(node: LocalWorld, work: Sequence[Job]) -> float:
    """Submit these; returns microseconds of CPU a message of the role that accepts and of its judges."""
    before = cpu_ns(_accepting(node))
    submit(node, work)
    after = cpu_ns(_accepting(node))
    return sum(spent - before.get(name, 0) for name, spent in after.items()) / 1000 / len(work)


def _accepting(node: LocalWorld) -> dict[str, int]:
    roles = pids(node.gateway)
    return {"accept": roles["accept"]} | {f"judge {one}": one for one in children(roles["judges"])}


def _jobs(rng: Random, count: int, bodies: int, overrides: Mapping[str, str]) -> list[Job]:
    """Compose messages for each enterprise in turn; unlike `load.jobs`, other ones with each call."""
    return [
        Job(
            owner=one.id,
            body=compose(
                KIND,
                cop_code=one.cop_codes[0],
                dxp_id=one.dxp_ids[0],
                bodies=bodies,
                rng=rng,
                items=3,
                overrides=overrides,
            ).body,
            declarations=bodies,
        )
        for number in range(count)
        for one in (ENTERPRISES[number % len(ENTERPRISES)],)
    ]
