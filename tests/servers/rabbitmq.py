"""Private RabbitMQ brokers for tests: own user, own folder, own ports, own epmd; ended by their process ids.

A broker that was already running on this machine is never met: nothing here uses a usual port, a usual
folder or the usual epmd.
"""

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pytest

from gateway.simulator.world import free_port
from tests.servers.certificates import Authority

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
CONTROL = SERVER.with_name("rabbitmqctl")
QUEUES = SERVER.with_name("rabbitmq-queues")
ACCOUNT = "rabbitmq"
"""Of Debian's package; the broker refuses nothing as root, but its files would be root's."""
AS_ACCOUNT = ("setpriv", "--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups", "--pdeathsig", "KILL")
"""As that account, and not to outlive us should we be killed."""
USER, PASSWORD = "gateway", "b-roker secret"
PLUGINS = ("rabbitmq_amqp1_0", "rabbitmq_auth_mechanism_ssl")
STOP_S = 30.0
ASKED_AT_MOST = 30
"""How often a state is asked for before it is given up; each time takes about a second."""
MEMORY = "600MB"
"""Above it the broker blocks publishers; `Node.block` sets it to nothing."""
LARGEST_BYTES = 2_000_000
"""Largest message that the brokers take."""


def why_not() -> str:
    """Why no broker can be started here; empty when one can."""
    if not SERVER.exists():
        return "RabbitMQ is not installed here (make test as root installs it)"
    return "" if os.geteuid() == 0 else "only root may start RabbitMQ under its own user"


def need_rabbitmq() -> None:
    """Skip the test with the reason, or fail it in CI, where everything must be there."""
    reason = why_not()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@dataclass(kw_only=True)
class Node:
    """One broker; its ports and its data stay the same over restarts."""

    name: str
    home: Path
    epmd_port: int
    peers: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)
    _distribution_port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None
    _log: IO[bytes] | None = None

    def start(self) -> None:
        """Start and return when connections are taken."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Start without waiting."""
        self._write_configuration()
        self._log = (self.home / "log").open("ab")
        self._process = subprocess.Popen(
            [*AS_ACCOUNT, str(SERVER)],
            env=self._environment(),
            cwd=self.home,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )

    def await_ready(self) -> None:
        """Wait for the line that the broker prints when it has come up."""
        assert self._process is not None
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if b"completed with" in line:
                return
        said.append((self.home / "log").read_bytes()[-4000:])
        raise AssertionError(f"{self.name} did not start:\n{b''.join(said).decode(errors='replace')}")

    def stop(self) -> None:
        """Ask it to stop, in good order, and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def control(self, *arguments: str, tool: Path = CONTROL) -> str:
        """Run rabbitmqctl, or another tool, against this node and return what it prints. Takes about a second."""
        return subprocess.run(
            [*AS_ACCOUNT, str(tool), "-q", "-n", self.name, *arguments],
            env=self._environment(),
            cwd=self.home,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def block(self) -> None:
        """Make the broker block publishers, as it does when its memory is full."""
        self.control("set_vm_memory_high_watermark", "absolute", "1")

    def unblock(self) -> None:
        """End that."""
        self.control("set_vm_memory_high_watermark", "absolute", MEMORY)

    def _end(self, how: signal.Signals) -> None:
        """Signal the process and its children: they are a process group of ours, with its own number."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, how)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_S)
        assert self._process.stdout is not None
        assert self._log is not None
        self._process.stdout.close()
        self._log.close()
        self._process = None

    def _write_configuration(self) -> None:
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
            f"ssl_options.cacertfile = {self.home.parent}/tls/ca.pem",
            f"ssl_options.certfile = {self.home.parent}/tls/server.pem",
            f"ssl_options.keyfile = {self.home.parent}/tls/server.key",
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = true",
            "ssl_cert_login_from = common_name",
            "auth_mechanisms.1 = PLAIN",
            "auth_mechanisms.2 = EXTERNAL",
            "loopback_users = none",
            f"default_user = {USER}",
            f"default_pass = {PASSWORD}",
            f"vm_memory_high_watermark.absolute = {MEMORY}",
            "disk_free_limit.absolute = 10MB",
            f"max_message_size = {LARGEST_BYTES}",
            "log.console = false",
            "log.file.level = warning",
        ]
        if self.peers:
            lines += [
                "cluster_formation.peer_discovery_backend = classic_config",
                *(
                    f"cluster_formation.classic_config.nodes.{number} = {peer}"
                    for number, peer in enumerate(self.peers, 1)
                ),
            ]
        (self.home / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.home / "enabled_plugins").write_text(f"[{','.join(PLUGINS)}].\n")
        for path in (self.home, *self.home.iterdir()):
            shutil.chown(path, ACCOUNT, ACCOUNT)

    def _environment(self) -> dict[str, str]:
        home = str(self.home)
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.home.parent),  # there the cookie lies, the same for all nodes
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_BASE": home,
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{home}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{home}/data",
            "RABBITMQ_LOG_BASE": f"{home}/logs",
            "RABBITMQ_PID_FILE": f"{home}/pid",
            "RABBITMQ_ALLOW_INPUT": "yes",  # the script then becomes the broker: one process, one id
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 -start_epmd false -noinput",
        }


class Brokers:
    """One broker, or several as one cluster, with a certificate authority; a context manager."""

    def __init__(self, count: int = 1) -> None:
        """Lay out the folders; nothing runs before `start`."""
        self.folder = Path(tempfile.mkdtemp(prefix="rabbitmq-test-"))
        self.tls = self.folder / "tls"
        names = tuple(f"test{number}@localhost" for number in range(1, count + 1))
        epmd_port = free_port()
        self.nodes = [
            Node(
                name=name,
                home=self.folder / name.partition("@")[0],
                epmd_port=epmd_port,
                peers=names if count > 1 else (),
            )
            for name in names
        ]
        self._epmd_port = epmd_port
        self._epmd: subprocess.Popen[bytes] | None = None
        self.authority = Authority("Test authority")
        self._lay_out()

    @property
    def node(self) -> Node:
        """The first, or only, broker."""
        return self.nodes[0]

    def start(self) -> None:
        """Start them all; the first alone, so that the others find a cluster to join."""
        self._epmd = subprocess.Popen(
            [*AS_ACCOUNT, "epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.nodes[0].start()
        for node in self.nodes[1:]:
            node.launch()
        for node in self.nodes[1:]:
            node.await_ready()

    def close(self) -> None:
        """End everything that was started and remove the folder."""
        for node in self.nodes:
            node.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait(STOP_S)
            self._epmd = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def leader_of(self, queue: str) -> Node:
        """Return the node that leads a quorum queue, once every node has all of it: then any one may die.

        A queue that was declared just now exists at its leader first.
        """
        for _ in range(ASKED_AT_MOST):
            told = self.node.control("quorum_status", queue, "--formatter", "json", tool=QUEUES)
            members = json.loads(told)
            states = sorted(member["Raft State"] for member in members)
            in_step = len({member["Commit Index"] for member in members}) == 1
            if states == ["follower"] * (len(self.nodes) - 1) + ["leader"] and in_step:
                (name,) = (one["Node Name"] for one in members if one["Raft State"] == "leader")
                return next(node for node in self.nodes if node.name == name)
        raise AssertionError(f"not every node has {queue}:\n{told}")

    def hosts(self, nodes: Sequence[Node] = ()) -> tuple[str, ...]:
        """Addresses for `destination.rabbitmq.hosts`."""
        return tuple(f"amqp://127.0.0.1:{node.port}" for node in nodes or self.nodes)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lay_out(self) -> None:
        for folder in (self.folder, self.tls, *(node.home for node in self.nodes)):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        (self.folder / ".erlang.cookie").write_text("A" * 20)
        (self.folder / ".erlang.cookie").chmod(0o400)
        self.authority.write(self.tls / "ca.pem")
        self.authority.issue("localhost", self.tls / "server.pem", self.tls / "server.key", server=True)
        self.authority.issue(USER, self.tls / "client.pem", self.tls / "client.key")
        owner = pwd.getpwnam(ACCOUNT)
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid)
