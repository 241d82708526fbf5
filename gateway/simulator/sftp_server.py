"""The customs side as a real SFTP server: one folder for envelopes, one for receipts."""

import base64
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import paramiko

from gateway.simulator.sftp_folder import DropBox, FolderSession

LOG_CHANNEL = "gateway.simulator.ssh"
HANDSHAKE_S = 20.0
BACKLOG = 64


class SftpServer:
    """Serves `root` with its folders `incoming` and `outgoing` to every client with an authorised key.

    `on_message(body, name)` is called, from the thread of that connection, for each file that gets its final
    name in `incoming`, before the client gets its answer; if it raises, the rename fails and the file keeps its
    temporary name. `start` may follow `stop`: same port, same files.
    """

    def __init__(
        self,
        root: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        host_key_file: Path,
        authorized_keys: Path,
        on_message: Callable[[bytes, str], None],
        incoming: str = "in",
        outgoing: str = "out",
        plain: bool = False,
        session: type[FolderSession] = FolderSession,
    ) -> None:
        """Make the folders; `authorized_keys` is a file in OpenSSH's format, options not supported.

        `plain`: behave as a server without OpenSSH's extensions. `session`: the class that answers requests.

        Raises OSError or paramiko.SSHException when a key file cannot be read.
        """
        self._box = DropBox(
            root=root.resolve(), incoming=incoming, outgoing=outgoing, on_message=on_message, plain=plain
        )
        for folder in (incoming, outgoing):
            (self._box.root / folder).mkdir(parents=True, exist_ok=True)
        self._session = session
        self._address = (host, port)
        self._host_key = paramiko.PKey.from_path(host_key_file)
        self._authorized = frozenset(_keys(authorized_keys))
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._transports: list[paramiko.Transport] = []
        self._stopping = False

    @property
    def port(self) -> int:
        """The TCP port; chosen by the system at the first `start` when it was given as 0."""
        return self._address[1]

    @property
    def host_key(self) -> str:
        """The public host key, as a client pins it: `ssh-ed25519 AAAA…`."""
        return f"{self._host_key.get_name()} {self._host_key.get_base64()}"

    def start(self) -> None:
        """Listen and serve in background threads; raises OSError when the port is taken."""
        self._listener = socket.create_server(self._address, backlog=BACKLOG)
        self._address = (self._address[0], self._listener.getsockname()[1])
        self._stopping = False
        self._thread = threading.Thread(
            target=self._accept, args=(self._listener,), name="sftp-accept", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port and cut every connection; returns when the threads have ended."""
        with self._lock:
            self._stopping = True
            transports, self._transports = self._transports, []
        if self._listener is not None:
            with suppress(OSError):  # wakes the thread that waits in accept
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        if self._thread is not None:
            self._thread.join()
        for transport in transports:
            transport.close()
            transport.join(HANDSHAKE_S)
            transport.sock.close()

    def offer(self, body: bytes, name: str) -> None:
        """Put a receipt into `outgoing`, atomically; it stays until a client removes it."""
        self._box.offer(body, name)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed by stop
                return
            try:
                self._serve(connection)
            except (OSError, paramiko.SSHException):
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(connection)
        _keep_quiet(transport)
        transport.handshake_timeout = transport.banner_timeout = HANDSHAKE_S
        transport.add_server_key(self._host_key)
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer, self._session, self._box)
        with self._lock:
            if self._stopping:
                connection.close()  # a Transport that was never started does not close its socket
                return
            for ended in [known for known in self._transports if not known.is_active()]:
                self._transports.remove(ended)
                ended.sock.close()  # a thread that ended in an error leaves it open
            transport.start_server(event=threading.Event(), server=_Gate(self._authorized))
            self._transports.append(transport)


class _Gate(paramiko.ServerInterface):
    """Allows any user name with an authorised key, and only the SFTP subsystem."""

    def __init__(self, authorized: frozenset[bytes]) -> None:
        self._authorized = authorized

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002  # paramiko's signature
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:  # noqa: ARG002  # paramiko's signature
        known = key.asbytes() in self._authorized
        return paramiko.common.AUTH_SUCCESSFUL if known else paramiko.common.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002  # paramiko's signature
        return (
            paramiko.common.OPEN_SUCCEEDED
            if kind == "session"
            else paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        )


def _keep_quiet(transport: paramiko.Transport) -> None:
    """Keep paramiko's log, for instance about a client that disappears, off stderr."""
    logger = logging.getLogger(LOG_CHANNEL)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = False
    transport.set_log_channel(LOG_CHANNEL)


def _keys(file: Path) -> list[bytes]:
    lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    return [
        paramiko.PKey.from_type_string(fields[0], base64.b64decode(fields[1])).asbytes()
        for fields in lines
        if len(fields) > 1 and not fields[0].startswith("#")
    ]
