"""One SSH connection with one SFTP channel: pinned host key, login by the configured key file only."""

import logging
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar, cast

import paramiko

from gateway.config.links import Sftp
from gateway.errors import DeliveryError
from gateway.transports.names import new_mark
from gateway.transports.progress import PatientSocket, Progress, cut_off, queued
from gateway.transports.sftp.keys import HostKey, read_login
from gateway.transports.sftp.wire import SftpProtocolError, SftpReply, SftpRequest, SftpWire
from spool.lease import ENDLESS, Lease

FAILURES = (OSError, EOFError, paramiko.SSHException, SftpProtocolError)
"""What paramiko and SftpWire raise when a connection fails."""
KEEP_ALIVE_S = 15
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
"""GCM first, because it needs one pass less over each packet; no CBC."""
LOG_CHANNEL = "gateway.transports.ssh"
T = TypeVar("T")


class SftpSession:
    """An open connection. Its methods raise DeliveryError, always temporary, with a fix."""

    def __init__(self, config: Sftp, host_key: HostKey, progress: Progress) -> None:
        """Connect, check the host key, log in; blocks as `progress` allows."""
        self._where = where(config)
        self._transport: paramiko.Transport | None = None
        self.mark = new_mark()
        """The mark in the temporary names of this session's files."""
        self.has_looked = False
        """Whether the send folder was searched for unfinished files of earlier sessions."""
        try:
            self._transport = _transport(config, progress)
            _shake_hands(self._transport, config, host_key, progress)
            _log_in(self._transport, config)
            channel = self._transport.open_session(timeout=_left(progress))
            channel.settimeout(_left(progress))
            channel.invoke_subsystem("sftp")
            self._wire = SftpWire(
                channel, progress, queued=partial(queued, cast("socket.socket", self._transport.sock))
            )
        except DeliveryError:
            self.close()
            raise
        except FAILURES as error:
            self.close()
            raise lost(error, self._where) from error

    @property
    def alive(self) -> bool:
        """False once the other side is known to be gone."""
        return self._transport is not None and self._transport.is_active()

    @property
    def extensions(self) -> frozenset[str]:
        """Extensions to the draft that the server announces."""
        return self._wire.extensions

    def ask(self, requests: Sequence[SftpRequest], progress: Progress) -> list[SftpReply]:
        """See `SftpWire.ask`; after an error the session is closed."""
        try:
            return self._wire.ask(requests, progress)
        except FAILURES as error:
            if self._transport is not None:
                cut_off(cast("socket.socket", self._transport.sock))
            self.close()
            raise lost(error, self._where) from error

    def close(self) -> None:
        """Close the connection; may be called twice."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None


class SftpLink:
    """A session that is opened on first use and again after it was lost."""

    def __init__(self, config: Sftp) -> None:
        """Raises ConfigError for an unreadable host key; connects to nothing yet."""
        self._config = config
        self._host_key = HostKey.parse(config.host_key)
        self._session: SftpSession | None = None

    def use(self, work: Callable[[SftpSession, Progress], T], lease: Lease = ENDLESS) -> T:
        """Run `work(session, progress)`; if the session turns out to be dead, open a new one and run `work` again.

        Ends after the time-out without progress, which both tries share, or when the lease is over. Raises what
        `work` raises, and DeliveryError.
        """
        progress = Progress(self._config.timeout_s, lease)
        if self._session is not None and self._session.alive:
            try:
                return self._do(work, self._session, progress)
            except DeliveryError:
                if self._session.alive or progress.left_s <= 0:
                    raise
        self.close()
        self._session = SftpSession(self._config, self._host_key, progress)
        progress.made()
        return self._do(work, self._session, progress)

    def _do(self, work: Callable[[SftpSession, Progress], T], session: SftpSession, progress: Progress) -> T:
        try:
            return work(session, progress)
        except SftpProtocolError as error:
            session.close()
            raise lost(error, where(self._config)) from error

    def close(self) -> None:
        """Close the session if there is one."""
        if self._session is not None:
            self._session.close()
            self._session = None


def where(config: Sftp) -> str:
    """Return the server's name for errors."""
    return f"sftp {config.user}@{config.host}:{config.port}"


def lost(error: Exception, place: str) -> DeliveryError:
    """Return the error for a failed connection."""
    said = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return DeliveryError(
        f"the SFTP connection failed: {said}",
        where=place,
        fix="see that the server runs and that the network lets us reach it; tried again by itself",
    )


def refused(what: str, reply: SftpReply, place: str) -> DeliveryError:
    """Return the error for a failed request; always temporary: it can be fixed without changing the message."""
    return DeliveryError(
        f"{what}: {reply.text}",
        where=place,
        fix="see that the folder exists on the server, that the user may write in it, and that it has space",
    )


def join(folder: str, name: str) -> str:
    """Return the path of a file in a folder of the server; an empty folder is the login's home folder."""
    return f"{folder.rstrip('/')}/{name}" if folder else name


def _transport(config: Sftp, progress: Progress) -> paramiko.Transport:
    made = socket.create_connection((config.host, config.port), timeout=_left(progress))
    connection = PatientSocket(made, config.timeout_s)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(connection)
    except BaseException:
        connection.close()
        raise
    # Errors are raised as exceptions; without its own handler, paramiko's log would go to stderr.
    logger = logging.getLogger(LOG_CHANNEL)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = False
    transport.set_log_channel(LOG_CHANNEL)
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = _left(progress)
    return transport


def _shake_hands(transport: paramiko.Transport, config: Sftp, host_key: HostKey, progress: Progress) -> None:
    try:
        options = transport.get_security_options()
        options.key_types = host_key.algorithms
        options.ciphers = CIPHERS
        transport.start_client(timeout=_left(progress))
    except (paramiko.ssh_exception.IncompatiblePeer, ValueError) as error:
        raise _stranger("no key of the pinned kind", config, host_key) from error
    if fault := host_key.fault(transport.get_remote_server_key(), config.host):
        raise _stranger(fault, config, host_key)
    transport.set_keepalive(KEEP_ALIVE_S)


def _stranger(shown: str, config: Sftp, host_key: HostKey) -> DeliveryError:
    if host_key.certifies:
        return DeliveryError(
            f"the server shows no host certificate of the pinned authority: {shown}",
            where=where(config),
            fix="have its operator certify its key for the name in destination.sftp.host, compare the authority"
            " with destination.sftp.host_key",
        )
    return DeliveryError(
        f"the server does not show the pinned host key, but {shown}: it was changed, or this is another server",
        where=where(config),
        fix="ask its operator for the new key, compare, then change destination.sftp.host_key",
    )


def _log_in(transport: paramiko.Transport, config: Sftp) -> None:
    login = read_login(config)
    try:
        unfinished = transport.auth_publickey(config.user, login.key)
    except paramiko.AuthenticationException as error:
        raise _not_let_in(config, str(error)) from error
    if unfinished:
        raise _not_let_in(config, f"it also asks for {', '.join(unfinished)}")


def _not_let_in(config: Sftp, said: str) -> DeliveryError:
    if config.certificate_file is None:
        fix = f"have the public key of {config.key_file} authorised for the user {config.user}"
    else:
        fix = f"have the server trust the authority of {config.certificate_file}, and the user in it"
    return DeliveryError(f"the server does not let us in: {said}", where=where(config), fix=fix)


def _left(progress: Progress) -> float:
    return max(0.001, progress.left_s)
