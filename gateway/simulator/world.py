"""Starts a complete system on this machine: a site, simulated customs and a gateway, as processes on free ports.

`gateway demo`, the end-to-end tests and the benchmarks use it; its gateway is the real one.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.config.site import NewEnterprise, Site, write_site
from gateway.errors import GatewayError

TransportName = Literal["sftp", "amqp"]
_SERVER_PORTS = range(20_000, 32_000)
_PORTS = islice(cycle(_SERVER_PORTS), os.getpid() * 64 % len(_SERVER_PORTS), None)
"""Candidate ports; processes that run in parallel start at different ones."""
_UNBOUNDED = "[quota]\nmessages_per_minute = 0\ndeclarations_per_minute = 0\nbytes_per_minute = 0\n"
"""No quotas: demos, tests and benchmarks must not be limited by them."""
_START_S = 60.0
_STOP_S = 40.0


def _begin(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


class WatchedProcess:
    """A process whose JSON log lines are written to a file and can be waited for."""

    def __init__(self, command: Sequence[str], log_file: Path) -> None:
        self.events: list[dict[str, Any]] = []
        """Every log line so far."""
        self._changed = threading.Condition()
        self._ended = False
        self._log_file = log_file
        self._out: BinaryIO = log_file.open("ab")
        self.process = _begin(command)
        self._pump = threading.Thread(target=self._read, name=f"log-{log_file.stem}", daemon=True)
        self._pump.start()

    def _read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 (we asked for the pipe)
        for line in self.process.stdout:
            self._out.write(line)
            self._out.flush()
            self._hear(line)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _hear(self, line: bytes) -> None:
        event: Any = None
        with contextlib.suppress(ValueError):
            event = json.loads(line)
        with self._changed:
            if isinstance(event, dict):
                self.events.append(event)
            self._changed.notify_all()

    def wait_for(
        self, wanted: Callable[[Mapping[str, Any]], bool], timeout_s: float = _START_S
    ) -> dict[str, Any]:
        """Block until a log line, past or new, is `wanted` and return the first such line. Raises GatewayError."""
        seen = 0
        with self._changed:

            def found() -> bool:
                nonlocal seen
                while seen < len(self.events) and not wanted(self.events[seen]):
                    seen += 1
                return seen < len(self.events) or self._ended

            self._changed.wait_for(found, timeout_s)
            if seen < len(self.events):
                return self.events[seen]
        raise GatewayError(
            "the process ended" if self._ended else f"waited {timeout_s:.0f} s in vain",
            where=str(self._log_file),
            fix="the last lines of that file say why",
        )

    def wait_for_event(self, name: str, timeout_s: float = _START_S) -> dict[str, Any]:
        """Block until there is a line of this event and return the first. Raises GatewayError."""
        return self.wait_for(lambda line: line.get("event") == name, timeout_s)

    def stop(self) -> int:
        """Send SIGTERM, wait for the process and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._join()

    def kill(self) -> int:
        """Send SIGKILL, wait for the process and return its exit code."""
        if self.process.poll() is None:
            self.process.kill()
        return self._join()

    def _join(self) -> int:
        try:
            code = self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            code = self.process.wait()
        self._pump.join(_STOP_S)
        self._out.close()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


class LocalWorld:
    """Simulated customs and a gateway; `with LocalWorld(folder) as world:` starts both, and stops them at the end."""

    def __init__(
        self,
        folder: Path,
        *,
        transport: TransportName = "sftp",
        envelope: Literal["DxpMsg", "DxpMsgSv"] = "DxpMsg",
        script: Mapping[str, object] | None = None,
        enterprises: Sequence[NewEnterprise] | None = None,
        forwarders: int = 1,
        families: Sequence[str] = ("import", "export"),
        more_config: str = "",
    ) -> None:
        """`script` holds the switches of `[script]` in simulator.toml; `more_config` goes into gateway.toml."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ledger = folder / "customs" / "ledger.jsonl"
        """One line for each envelope that arrived at customs."""
        self.sent_receipts = folder / "customs" / "receipts.jsonl"
        """One line for each receipt body that customs sent."""
        self._customs_port = free_port()
        self._port = free_port()
        destination = self._write_customs(transport, script or {})
        destination = (
            f'[[destination]]\nname = "customs"\nenvelope = "{envelope}"\nactive = {forwarders}\n'
            f"families = {json.dumps(list(families))}\n{destination}"
        )
        given = {} if enterprises is None else {"enterprises": enterprises}
        self.site: Site = write_site(
            folder / "site",
            destination_toml=f"{destination}\n{more_config}\n{_UNBOUNDED}",
            port=self._port,
            **given,
        )
        self.address = f"http://127.0.0.1:{self._port}"
        self.customs: WatchedProcess | None = None
        self.gateway: WatchedProcess | None = None

    def _write_customs(self, transport: TransportName, script: Mapping[str, object]) -> str:
        """Write simulator.toml and its keys; returns the transport table of the gateway's destination."""
        folder = self.folder / "customs"
        folder.mkdir(exist_ok=True)
        text = 'ledger = "ledger.jsonl"\nreceipts = "receipts.jsonl"\n[script]\n'
        text += "".join(f"{name} = {json.dumps(value)}\n" for name, value in script.items())
        if transport == "amqp":
            (folder / "simulator.toml").write_text(f"{text}[amqp]\nport = {self._customs_port}\n")
            return (
                f'[destination.amqp]\nurl = "amqp://127.0.0.1:{self._customs_port}"\n'
                'send_address = "declarations"\nreceive_address = "receipts"\n'
            )
        host_public = _write_ssh_key(folder / "host_key")
        client_public = _write_ssh_key(folder / "client_key")
        (folder / "authorized_keys").write_text(f"{client_public}\n")
        (folder / "simulator.toml").write_text(
            f'{text}[sftp]\nroot = "files"\nhost_key = "host_key"\nauthorized_keys = "authorized_keys"\n'
            f"port = {self._customs_port}\n"
        )
        return (
            f'[destination.sftp]\nhost = "127.0.0.1"\nport = {self._customs_port}\nuser = "gateway"\n'
            f'key_file = "{(folder / "client_key").resolve()}"\nhost_key = "{host_public}"\n'
            'send_dir = "/in"\nreceive_dir = "/out"\n'
        )

    def __enter__(self) -> Self:
        """Start customs, then the gateway."""
        try:
            self.start_customs()
            self.start_gateway()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop both."""
        if self.gateway is not None:
            self.gateway.stop()
        if self.customs is not None:
            self.customs.stop()

    def start_customs(self) -> WatchedProcess:
        """Start the simulated customs side; returns when it listens."""
        self.customs = self._start("simulate", self.folder / "customs" / "simulator.toml")
        self.customs.wait_for_event("simulator.listening")
        return self.customs

    def start_gateway(self) -> WatchedProcess:
        """Start the gateway; returns when every role is started."""
        self.gateway = self._start("run", self.site.config)
        self.gateway.wait_for_event("node.started")
        return self.gateway

    def _start(self, command: str, config: Path) -> WatchedProcess:
        return WatchedProcess(
            [sys.executable, "-m", "gateway", command, "-c", str(config)], self.folder / f"{command}.log"
        )

    def customs_saw(self) -> list[dict[str, Any]]:
        """Return the ledger of what arrived at customs."""
        return read_lines(self.ledger)

    def customs_sent(self) -> list[dict[str, Any]]:
        """Return the ledger of receipt bodies that customs sent."""
        return read_lines(self.sent_receipts)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Read whole JSON lines; an unfinished last line is left out."""
    if not file.exists():
        return []
    return [
        json.loads(line) for line in file.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")
    ]


def free_port() -> int:
    """Return a free TCP port of the loopback interface, a different one each time. Raises GatewayError.

    It lies below the range that systems use for outgoing connections (Linux: from 32768 on), so that no such
    connection takes it before the caller does, or while the caller's server is down.
    """
    for port in islice(_PORTS, len(_SERVER_PORTS)):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise GatewayError(
        "no TCP port is free",
        where=f"127.0.0.1, ports {_SERVER_PORTS.start} to {_SERVER_PORTS.stop - 1}",
        fix="end some of the servers on this machine",
    )


def _write_ssh_key(file: Path) -> str:
    """Write a new private key; returns the public one in the format of known_hosts and authorized_keys."""
    key = Ed25519PrivateKey.generate()
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return public.decode()
