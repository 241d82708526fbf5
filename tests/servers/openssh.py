"""OpenSSH's server for the user who runs the tests, one `sshd -i` for each connection; may be killed at any time."""

import getpass
import os
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

SSHD = Path("/usr/sbin/sshd")
_ENDS_WITHIN_S = 10.0


def need_openssh() -> None:
    """Skip the test with the reason, or fail it in CI, where everything must be there."""
    if not SSHD.exists():
        reason = "OpenSSH's server is not installed here (make test as root installs it)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def write_key(file: Path) -> str:
    """Write a private key and return its public half as one line."""
    key = Ed25519PrivateKey.generate()
    file.touch(mode=0o600)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


class OpenSsh:
    """Folders `in` and `out` below `root`; keeps its port over `kill` and `start`."""

    def __init__(self, folder: Path) -> None:
        if os.geteuid() == 0:  # sshd of root asks for this empty folder, which its service makes at start
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.root = folder.resolve() / "root"
        for name in ("in", "out"):
            (self.root / name).mkdir(parents=True)
        self.user, self.key_file = getpass.getuser(), folder.resolve() / "user"
        self.host_key = write_key(folder / "host")
        (folder / "authorized_keys").write_text(write_key(self.key_file))
        (folder / "sshd_config").write_text(
            f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\n"
            "UsePAM no\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
        )
        self._command = [str(SSHD), "-i", "-f", f"{folder}/sshd_config", "-E", f"{folder}/log"]
        self.port = 0
        self.start()

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._servers: list[subprocess.Popen[bytes]] = []
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, args=(self._listener,))
        self._thread.start()

    def kill(self) -> None:
        """SIGKILL every server with its children, in whatever they are, and listen no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for server in self._servers:
            for pid in [*_descendants(server.pid), server.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            server.wait(_ENDS_WITHIN_S)
        for connection in self._connections:
            connection.close()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self._connections.append(connection)
                number = connection.fileno()
                self._servers.append(
                    subprocess.Popen(self._command, stdin=number, stdout=number, stderr=subprocess.DEVNULL)
                )


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended
        return []
    return [found for child in map(int, children) for found in (*_descendants(child), child)]
