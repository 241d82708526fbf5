"""A site whose enterprises have channels, its spool, and answers of customs that are filed in it by the real registry."""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.app.build import App
from gateway.config.site import NewEnterprise, write_site
from gateway.processes.stop import Stop
from spool.entry import Depth, MessageView, Wanted
from spool.store import Spool
from tests.documents import order, receipt
from tests.in_process import bring_in, take_in
from tests.platforms import enterprises

Wrap = Callable[[bytes], bytes]
EBP, EBC = "4400000002", "4400000003"
QUICK = {"first_s = 2.0": "first_s = 0.05", "ceiling_s = 600.0": "ceiling_s = 0.5"}


class ChannelNode:
    """The node: accepts, files, and brings home; one process, no door."""

    def __init__(
        self,
        folder: Path,
        deliver: Mapping[str, str],
        *,
        owners: Sequence[NewEnterprise] = enterprises(3),
        settings: Mapping[str, str] = QUICK,
        more_toml: str = "",
    ) -> None:
        """`deliver`: enterprise → its `[[deliver]]` tables; `settings`: text of gateway.toml → in its place."""
        self.owners = {one.id: one for one in owners}
        self.site = write_site(folder / "site", enterprises=owners)
        text = self.site.config.read_text("utf-8")
        for old, new in settings.items():
            assert old in text, old
            text = text.replace(old, new)
        self.site.config.write_text(f"{text}\n{more_toml}", "utf-8")
        for owner, toml in deliver.items():
            self.set_channels(owner, toml)
        self.app = App(self.site.config)
        self.spool: Spool = self.app.spool()

    def set_channels(self, owner: str, toml: str) -> None:
        """Put these in place of the channels of an enterprise; `read_again` for the effect."""
        file = self.site.enterprises / f"{owner}.toml"
        file.write_text(f"{file.read_text('utf-8').partition('[[deliver]]')[0]}{toml}", "utf-8")

    def read_again(self) -> None:
        """As SIGHUP does."""
        self.app = App(self.site.config)

    def accept(self, owner: str, *order_nos: str, subscribe: str = "", wrap: Wrap | None = None) -> str:
        """Accept one message with these orders; returns its id.

        `subscribe`: BaseSubscribe elements; `wrap` makes a DxpMsg of it.
        """
        one = self.owners[owner]
        body = order(*order_nos, cop_code=one.cop_codes[0], dxp_id=one.dxp_ids[0], ebp_code=EBP, ebc_code=EBC)
        body = body.replace(b"</ceb:BaseTransfer>", b"</ceb:BaseTransfer>" + subscribe.encode())
        body = wrap(body) if wrap else body
        return take_in(self.app, self.spool, owner, body)

    def answer(self, *answers: tuple[str, str], time: str = "20250102030405678") -> bytes:
        """Let customs answer: one receipt with a body for each (order number, status); returns its bytes."""
        bodies = [
            {
                "ebpCode": EBP,
                "ebcCode": EBC,
                "orderNo": order_no,
                "returnStatus": status,
                "returnTime": time,
                "returnInfo": f"{order_no} {uuid.uuid4()}",
            }
            for order_no, status in answers
        ]
        body = receipt("CEB312Message", *bodies)
        self.keep(body)
        return body

    def keep(self, body: bytes, *, feed: str = "customs") -> None:
        """Collect these bytes from a destination, and file them."""
        bring_in(self.app, self.spool, [body], feed=feed)

    @contextmanager
    def notifying(self) -> Iterator[None]:
        """Run the notify role while the block lasts."""
        stop, failure = Stop(), []

        def run() -> None:
            try:
                with closing(self.app.spool()) as spool, closing(self.app.notify(spool)) as role:
                    role.run(stop)
            except BaseException as error:  # noqa: BLE001 (raised in the test)
                failure.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
        assert not failure, failure
        assert not thread.is_alive()

    def entries(self, lane: str) -> list[MessageView]:
        return self.spool.entries(Wanted(destination=f"@home/{lane}"), limit=10_000)

    def waiting(self) -> list[Depth]:
        """What is unsettled or dead on channels."""
        return [one for one in self.spool.depths() if one.destination.startswith("@home")]

    def close(self) -> None:
        self.spool.close()


@contextmanager
def channel_node(folder: Path, deliver: Mapping[str, str], **settings: object) -> Iterator[ChannelNode]:
    """A node that is closed at the end."""
    with closing(ChannelNode(folder, deliver, **settings)) as made:  # type: ignore[arg-type]
        yield made
