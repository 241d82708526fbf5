"""Counters of all roles in `/metrics`: complete, and never lower than before, whichever role is killed or replaced."""

import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from gateway.observe.metric_files import FOLDER
from tests.documents import order, receipt
from tests.door_node import ANN, DoorNode, FolderPlace
from tests.platforms import Platform
from tests.waiting import until

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
COUNTERS = (
    "gateway_entries",
    "gateway_notices",
    "gateway_arrivals",
    "gateway_answers",
    "gateway_door_messages",
)
EBP, EBC = "4400000002", "4400000003"
CHANNEL = '\n[[deliver]]\nname = "erp"\n[deliver.folder]\nsend_dir = "{folder}"\n'
RELOADS = 4


def scrape(platform: Platform) -> Samples:
    """All samples; each name and set of labels is there once."""
    text = platform.ask("GET", "/metrics").body.decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families), text
    found: Samples = {}
    for sample in (sample for family in families for sample in family.samples):
        key = sample.name, frozenset(sample.labels.items())
        assert key not in found, key
        found[key] = sample.value
    return found


def total(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), -1)


class Watch:
    """Asks for `/metrics` again and again; keeps what was lower than before, or gone."""

    def __init__(self, node: DoorNode) -> None:
        self._node = node
        self._over = threading.Event()
        self.scrapes = 0
        self.lower: list[str] = []

    def run(self) -> None:
        before: Samples = {}
        with closing(self._node.platform("ann")) as platform:
            while not self._over.wait(0.02):
                now = {key: value for key, value in scrape(platform).items() if key[0].startswith(COUNTERS)}
                self.lower += [
                    f"{key}: {old} → {now.get(key)}" for key, old in before.items() if now.get(key, -1) < old
                ]
                before = now
                self.scrapes += 1

    def stop(self) -> None:
        self._over.set()


@contextmanager
def watched(node: DoorNode) -> Iterator[Watch]:
    watch = Watch(node)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop()
        thread.join()


class Traffic:
    """Orders that go out, by HTTP and by a folder, and answers that come in and go home; counts with the gateway."""

    def __init__(self, node: DoorNode, place: FolderPlace) -> None:
        self._node, self._place = node, place
        self.messages = self.answers = 0

    def send(self, platform: Platform, number: int) -> None:
        for _ in range(number):
            body = order(f"ORDER-{self.messages}", cop_code=ANN.cop_codes[0], dxp_id=ANN.dxp_ids[0])
            if self.messages % 2:
                assert platform.submit(body).status == 202
            else:
                self._place.lay(f"{self.messages}.xml", body)
            self.messages += 1

    def answer(self, *order_nos: str, times: int = 1) -> None:
        """Lay one answer of customs, several times over, each in a document of its own."""
        bodies = [
            {"ebpCode": EBP, "ebcCode": EBC, "orderNo": order_no, "returnInfo": f"{self.answers}"}
            for order_no in order_nos
        ]
        content = receipt("CEB312Message", *bodies)
        for number in range(times):
            name = f"{self.answers}.xml"
            folder = self._node.site.folder / "customs/in"
            (folder / f".{name}").write_bytes(content + b"\n" * number)
            (folder / f".{name}").rename(folder / name)
            self.answers += 1

    def everything(self, platform: Platform, *, matched: int, duplicates: int, orphans: int) -> None:
        """Wait until every figure is as what was done says."""

        def told() -> dict[str, float]:
            samples = scrape(platform)
            by_door = {"enterprise": "ann", "door": "folder", "outcome": "accepted"}
            return {
                "sent": total(samples, "gateway_entries_total", destination="customs", outcome="sent"),
                "came": total(samples, "gateway_arrivals_total", destination="customs"),
                "home": total(samples, "gateway_notices_total", outcome="sent"),
                "matched": total(samples, "gateway_answers_total", outcome="matched"),
                "duplicate": total(samples, "gateway_answers_total", outcome="duplicate"),
                "orphaned": total(samples, "gateway_answers_total", outcome="orphaned"),
                "by door": total(samples, "gateway_door_messages_total", **by_door),
                "in order": total(samples, "gateway_door_in_order", enterprise="ann", door="folder"),
            }

        wanted = {
            "sent": self.messages,
            "came": self.answers,
            "home": matched,
            "matched": matched,
            "duplicate": duplicates,
            "orphaned": orphans,
            "by door": (self.messages + 1) // 2,
            "in order": 1,
        }
        until(told, lambda figures: figures == wanted)


def reload(node: DoorNode) -> None:
    before = len(node.events("node.reloaded"))
    node.process.process.send_signal(signal.SIGHUP)
    until(lambda: len(node.events("node.reloaded")) > before)


def numbers(folder: Path) -> set[int]:
    """The numbers that tell the files of one role from one another."""
    return {int(found[1]) for file in folder.iterdir() if (found := re.search(r"\.(\d+)\.\w+$", file.name))}


def kill(node: DoorNode, roles: Sequence[str]) -> None:
    for role in roles:
        node.kill(role)


def test_counters_of_all_roles_are_complete_and_never_fall(tmp_path: Path) -> None:
    place, home = FolderPlace.make(tmp_path / "ann"), tmp_path / "home"
    home.mkdir()
    node = DoorNode(tmp_path, {"ann": place.toml() + CHANNEL.format(folder=home)})
    traffic = Traffic(node, place)
    with node.running(), closing(node.platform("ann")) as ann:
        with watched(node) as watch:
            traffic.send(ann, 4)
            traffic.everything(ann, matched=0, duplicates=0, orphans=0)
            traffic.answer("ORDER-0", times=2)
            traffic.answer("ORDER-OF-NOBODY")
            traffic.everything(ann, matched=1, duplicates=1, orphans=1)

            kill(node, ["forward/customs/0", "collect/customs", "notify", "accept/folders", "accept"])
            traffic.everything(ann, matched=1, duplicates=1, orphans=1)
            traffic.send(ann, 3)
            traffic.answer("ORDER-1", times=2)
            traffic.everything(ann, matched=2, duplicates=2, orphans=1)

            for _ in range(RELOADS):
                reload(node)
                traffic.send(ann, 1)
                traffic.answer("ORDER-2")
                matched = 2 + traffic.answers - 5
                traffic.everything(ann, matched=matched, duplicates=2, orphans=1)
        assert watch.lower == []
        assert watch.scrapes > RELOADS
        folder = node.site.folder / "state" / FOLDER
        assert folder.stat().st_mode & 0o777 == 0o700
        assert max(numbers(folder)) <= 2, sorted(folder.iterdir())
    traffic = Traffic(node, place)
    with node.running(), closing(node.platform("ann")) as ann:
        sent = until(
            lambda: total(scrape(ann), "gateway_entries_total", destination="customs", outcome="sent"),
            lambda value: value >= 0,
        )
        assert sent == 0, "counters start again with the node"
