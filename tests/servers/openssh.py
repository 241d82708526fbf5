"""OpenSSH's server as a test starts it: a daemon on a free port, killed with every session it made."""

import getpass
import os
import select
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.simulator.world import free_port
from tests.waiting import PATIENCE_S

SSHD = Path("/usr/sbin/sshd")
_SUBSYSTEM = "Subsystem sftp internal-sftp"


def need_openssh() -> None:
    """Skip where the server is not installed; in CI, where everything must be there, fail."""
    if not SSHD.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("OpenSSH's server is not installed here")


def write_key(file: Path, kind: str = "ssh-ed25519") -> str:
    """Write a private key of this kind and return its public half as one line."""
    key: Ed25519PrivateKey | RSAPrivateKey | EllipticCurvePrivateKey
    match kind:
        case "ssh-rsa":
            key = generate_rsa(65537, 2048)
        case "ecdsa-sha2-nistp256":
            key = generate_ec(SECP256R1())
        case _:
            key = Ed25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    file.chmod(0o600)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


class OpenSsh:
    """One sshd for the user who runs the tests; it keeps its port over `kill` and `start`."""

    def __init__(
        self,
        folder: Path,
        *settings: str,
        authorized: str = "",
        host_kind: str = "ssh-ed25519",
        strict: bool = False,
        inside: Sequence[str] = (),
    ) -> None:
        """`settings` are further lines of sshd_config, `authorized` a public key that may log in.

        `strict`: owners and modes of key files matter, as in life; `inside`: the command that starts it elsewhere.
        """
        need_openssh()
        if os.geteuid() == 0:  # sshd of root asks for this empty folder, which its service makes at start
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.user = getpass.getuser()
        self.host_key = write_key(folder / "host", host_kind)
        self._folder, self._inside = folder, inside
        (folder / "authorized_keys").write_text(authorized)
        lines = [
            "ListenAddress 127.0.0.1",
            f"HostKey {folder}/host",
            f"AuthorizedKeysFile {folder}/authorized_keys",
            "PidFile none",
            f"StrictModes {'yes' if strict else 'no'}",
            "UsePAM no",
            "MaxStartups 100",
            "PermitRootLogin prohibit-password",
            *settings,
            *([] if any(line.startswith("Subsystem ") for line in settings) else [_SUBSYSTEM]),
        ]
        (folder / "sshd_config").write_text("\n".join(lines) + "\n")
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Return when it listens."""
        command = [
            *self._inside,
            str(SSHD),
            "-D",
            "-e",
            "-f",
            f"{self._folder}/sshd_config",
            "-p",
            str(self.port),
        ]
        self._daemon = subprocess.Popen(command, stderr=subprocess.PIPE)
        self.said: list[str] = []
        listening = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(listening,), daemon=True)
        self._reader.start()
        listening.wait(PATIENCE_S)
        if not any("Server listening" in line for line in self.said):
            self.kill()
            raise AssertionError(self.said)

    def kill(self) -> None:
        """End daemon and sessions by SIGKILL; returns when none of them runs any more. May be called twice."""
        if self._daemon.poll() is None:
            self._daemon.send_signal(signal.SIGSTOP)  # makes no further child while they are counted
            for process in [*self.sessions(), self._daemon.pid]:
                _kill(process)
            self._daemon.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self._daemon.stderr is not None
        self._daemon.stderr.close()

    def sessions(self) -> list[int]:
        """Return the processes of all sessions, parents first."""
        found = _children(self._daemon.pid)
        for process in found:  # grows as it is walked
            found += _children(process)
        return found

    def _read(self, listening: threading.Event) -> None:
        assert self._daemon.stderr is not None
        for line in self._daemon.stderr:
            self.said.append(line.decode())
            if b"Server listening" in line:
                listening.set()
        listening.set()


def _children(process: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _kill(process: int) -> None:
    try:
        watch = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(watch, signal.SIGKILL)
        assert select.select([watch], [], [], PATIENCE_S)[0], f"process {process} does not end"
    except ProcessLookupError:
        pass
    finally:
        os.close(watch)
