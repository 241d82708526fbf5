"""The customs side as a service: real SFTP and real AMQP 1.0 in front of the scripted `Customs`."""

import signal
import time
from collections.abc import Callable
from threading import Condition, Event, Thread
from types import FrameType
from typing import TYPE_CHECKING, Final, Protocol

from gateway.errors import ConfigError
from gateway.observe.log import log
from gateway.rules.loading import Rules, load_rules
from gateway.simulator.customs import Customs
from gateway.simulator.ledger import Ledger
from gateway.simulator.settings import AmqpSection, SftpSection, SimulatorConfig, UkeySection
from gateway.simulator.sftp_server import SftpServer
from signing.errors import SigningError

if TYPE_CHECKING:
    from gateway.simulator.ukey import UkeyServer

__all__ = ["AMQP", "SFTP", "AmqpSection", "Server", "SftpSection", "Simulator", "SimulatorConfig"]

SFTP: Final = "sftp"
AMQP: Final = "amqp"


class Server(Protocol):
    """A transport of the customs side."""

    @property
    def port(self) -> int:
        """TCP port it listens on, once started."""
        ...

    def start(self) -> None:
        """Listen, in threads of its own. Raises OSError when the port is taken."""
        ...

    def stop(self) -> None:
        """Close the port and every connection."""
        ...

    def offer(self, body: bytes, name: str) -> None:
        """Make a message available for pick-up; any thread."""
        ...


class Simulator:
    """The servers, the customs side and one thread that sends due answers."""

    def __init__(
        self, config: SimulatorConfig, *, rules: Rules | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """Build everything without listening yet. Raises ConfigError, RulesError, OSError.

        `rules` must not be shared with other threads; loaded when not given.
        """
        if config.sftp is None and config.amqp is None and not config.ukey:
            raise ConfigError("the customs side has no transport", fix="add [sftp] or [amqp]")
        self._clock = clock
        rules = rules or load_rules(config.rules_dir, config.edition)
        self.sftp: SftpServer | None = self._sftp(config.sftp) if config.sftp else None
        self.amqp: Server | None = self._amqp(config.amqp) if config.amqp else None
        built = {SFTP: self.sftp, AMQP: self.amqp}
        self._servers: dict[str, Server] = {name: server for name, server in built.items() if server}
        self.ukeys = [_ukey(section) for section in config.ukey]
        self._ledger = Ledger(config.ledger, config.receipts)
        self.customs = Customs(rules, config.script, clock, ledger=self._ledger)
        self._changed = Condition()
        self._stopping = False
        self._offering = False
        self._sender = Thread(target=self._send, name="customs-sender", daemon=True)

    def start(self) -> None:
        """Start listening and answering; call once. Raises OSError when a port is taken."""
        for name, server in self._servers.items():
            server.start()
            log("simulator.listening", address=f"{name}, port {server.port}")
        for ukey in self.ukeys:
            ukey.start()
            log("simulator.listening", address=f"ukey, port {ukey.port}")
        self._sender.start()

    def stop(self) -> None:
        """Stop listening and sending; answers not yet due are dropped."""
        for server in self._servers.values():
            server.stop()
        for ukey in self.ukeys:
            ukey.stop()
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._sender.is_alive():
            self._sender.join()
        self._ledger.close()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Block until every planned answer has been offered; False when that takes longer than `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(self._idle, timeout_s)

    def run(self) -> None:
        """Start, block until SIGTERM or SIGINT, then stop. Main thread only."""
        asked = Event()

        def ask(_number: int, _frame: FrameType | None) -> None:
            asked.set()

        before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self.start()
            asked.wait()
        finally:
            self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _sftp(self, section: SftpSection) -> SftpServer:
        return SftpServer(
            section.root,
            host=section.host,
            port=section.port,
            host_key_file=section.host_key,
            authorized_keys=section.authorized_keys,
            on_message=lambda body, name: self._receive(body, name, SFTP),
            incoming=section.incoming,
            outgoing=section.outgoing,
        )

    def _amqp(self, section: AmqpSection) -> Server:
        try:
            from gateway.simulator.amqp_server import AmqpServer, NotNow  # noqa: PLC0415 (Proton is an extra)
        except ImportError as error:
            raise ConfigError(
                "AMQP needs python-qpid-proton",
                where="[amqp]",
                fix='install "customs-exchange-gateway[amqp]", or remove [amqp]',
            ) from error

        def on_message(body: bytes, name: str) -> None:
            try:
                self._receive(body, name, AMQP)
            except OSError as error:  # the ledger cannot be written; the envelope is not at fault
                raise NotNow(str(error)) from error

        return AmqpServer(
            host=section.host, port=section.port, on_message=on_message, outgoing=section.outgoing
        )

    def _receive(self, body: bytes, name: str, origin: str) -> None:
        self.customs.receive(body, name, origin=origin)
        with self._changed:
            self._changed.notify_all()

    def _idle(self) -> bool:
        return not self._offering and self.customs.pending() == 0

    def _send(self) -> None:
        """Offer due answers, then wait for the next due time or arrival, until stopped."""
        while True:
            with self._changed:
                while not self._stopping and (rest_s := self._rest_s()) != 0:
                    self._changed.wait(rest_s)
                if self._stopping:
                    return
                self._offering = True
            for outgoing in self.customs.due(self._clock()):
                self._servers[outgoing.origin].offer(outgoing.body, outgoing.name)
            with self._changed:
                self._offering = False
                self._changed.notify_all()

    def _rest_s(self) -> float | None:
        """Return the seconds until the next answer is due, 0 when one is; None when there is none."""
        due = self.customs.next_due()
        return None if due is None else max(due - self._clock(), 0)


def _ukey(section: UkeySection) -> "UkeyServer":
    try:
        from gateway.simulator.ukey import UkeyServer  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise ConfigError(
            "the USB key needs websockets",
            where="[[ukey]]",
            fix='install "customs-exchange-gateway[ukey]", or remove [[ukey]]',
        ) from error
    try:
        return UkeyServer(section)
    except SigningError as error:
        raise ConfigError(error.what, where=f"[[ukey]], {error.where}", fix=error.fix) from error
