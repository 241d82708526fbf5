"""OpenSSH's certificates, ours and the server's, with OpenSSH's own server on the other side."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.config.links import Sftp
from gateway.errors import DeliveryError
from gateway.transports.sftp.transport import SftpTransport
from tests.contract.conftest import parcel
from tests.servers.openssh import OpenSsh, write_key
from tests.servers.ssh_certificates import HOUR_S, SshAuthority

KINDS = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]


class Site:
    """A server that trusts an authority and no key, and what we need to log in there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inbox = folder / "in"
        self.inbox.mkdir()
        self.authority = SshAuthority()
        self.certificate = folder / "certificate.pub"
        self._servers: list[OpenSsh] = []

    def server(self, *settings: str, host_kind: str = "ssh-ed25519") -> OpenSsh:
        (self.folder / "authority.pub").write_text(self.authority.line)
        server = OpenSsh(
            self.folder,
            f"TrustedUserCAKeys {self.folder}/authority.pub",
            *settings,
            authorized=write_key(self.folder / "known"),
            host_kind=host_kind,
        )
        self._servers.append(server)
        return server

    def send(self, server: OpenSsh, key_file: Path, *, host_key: str = "", certificate: bool = True) -> str:
        """Return what went wrong, if anything did."""
        transport = SftpTransport(
            Sftp(
                host="127.0.0.1",
                port=server.port,
                user=server.user,
                key_file=key_file,
                certificate_file=self.certificate if certificate else None,
                host_key=host_key or server.host_key,
                send_dir=str(self.inbox),
                receive_dir=str(self.inbox),
                timeout_s=10,
            )
        )
        (delivery,) = transport.send([parcel(1)])
        transport.close()
        assert (delivery.error is None) == (len(list(self.inbox.iterdir())) == 1)
        if delivery.error is None:
            return ""
        assert isinstance(delivery.error, DeliveryError)
        assert delivery.error.temporary
        assert delivery.error.fix
        return str(delivery.error)

    def stop(self) -> None:
        for server in self._servers:
            server.kill()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_user_certificate_lets_us_in_where_no_key_is_authorised(site: Site, kind: str) -> None:
    server = site.server()
    public = write_key(site.folder / "user", kind)
    site.authority.certify_file(site.certificate, public, server.user)
    assert site.send(server, site.folder / "user") == ""


def test_renewed_user_certificate_is_taken_up_without_a_restart(site: Site) -> None:
    server = site.server()
    public = write_key(site.folder / "user")
    site.certificate.write_bytes(site.authority.certify(public, server.user, ends_s=-1))
    assert "it has ended on" in site.send(server, site.folder / "user")
    site.authority.certify_file(site.certificate, public, server.user)
    assert site.send(server, site.folder / "user") == ""


def test_certificate_beside_the_key_is_not_used_unless_named(site: Site) -> None:
    server = site.server()
    site.authority.certify_file(site.folder / "known-cert.pub", write_key(site.folder / "other"), "nobody")
    assert site.send(server, site.folder / "known", certificate=False) == ""


def test_user_certificate_of_another_authority_is_told_with_the_cure(site: Site) -> None:
    server = site.server()
    public = write_key(site.folder / "user")
    SshAuthority().certify_file(site.certificate, public, server.user)
    said = site.send(server, site.folder / "user")
    assert "does not let us in" in said
    assert "trust the authority" in said


BAD_LOGINS: dict[str, Callable[[SshAuthority, str, str], bytes]] = {
    "it is not valid before": lambda authority, key, user: authority.certify(key, user, starts_s=HOUR_S / 2),
    "it is not meant for users": lambda authority, key, user: authority.certify(key, user, host=True),
    "it cannot be read": lambda _authority, _key, _user: b"ssh-ed25519-cert-v01@openssh.com AAAA",
    "a public key without a certificate": lambda _authority, key, _user: key.encode(),
}


@pytest.mark.parametrize("fault", BAD_LOGINS)
def test_unusable_user_certificate_is_told_with_its_path(site: Site, fault: str) -> None:
    server = site.server()
    public = write_key(site.folder / "user")
    site.certificate.write_bytes(BAD_LOGINS[fault](site.authority, public, server.user))
    said = site.send(server, site.folder / "user")
    assert fault in said
    assert str(site.certificate) in said


def test_user_certificate_of_another_key_or_none_is_told(site: Site) -> None:
    server = site.server()
    write_key(site.folder / "user")
    assert "No such file" in site.send(server, site.folder / "user")
    site.authority.certify_file(site.certificate, write_key(site.folder / "other"), server.user)
    assert "belongs to another key" in site.send(server, site.folder / "user")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["127.0.0.1", "127.*"])
def test_host_certificate_of_the_pinned_authority_is_enough(site: Site, kind: str, name: str) -> None:
    hosts = SshAuthority()
    server = site.server(f"HostCertificate {site.folder}/host-cert.pub", host_kind=kind)
    hosts.certify_file(site.folder / "host-cert.pub", server.host_key, name, host=True)
    server.kill()
    server.start()
    pinned = f"@cert-authority {hosts.line}"
    assert site.send(server, site.folder / "known", host_key=pinned, certificate=False) == ""


BAD_HOSTS: dict[str, Callable[[SshAuthority, str], bytes]] = {
    "for elsewhere, not for 127.0.0.1": lambda hosts, key: hosts.certify(key, "elsewhere", host=True),
    "for no host": lambda hosts, key: hosts.certify(key, host=True),
    "not meant for hosts": lambda hosts, key: hosts.certify(key, "127.0.0.1"),
    "it has ended": lambda hosts, key: hosts.certify(key, "127.0.0.1", host=True, ends_s=-1),
    "of another authority": lambda _, key: SshAuthority().certify(key, "127.0.0.1", host=True),
}


@pytest.mark.parametrize("fault", BAD_HOSTS)
def test_unfit_host_certificate_is_refused_and_nothing_is_sent(site: Site, fault: str) -> None:
    hosts = SshAuthority()
    server = site.server(f"HostCertificate {site.folder}/host-cert.pub")
    (site.folder / "host-cert.pub").write_bytes(BAD_HOSTS[fault](hosts, server.host_key))
    server.kill()
    server.start()
    pinned = f"@cert-authority {hosts.line}"
    said = site.send(server, site.folder / "known", host_key=pinned, certificate=False)
    assert "no host certificate of the pinned authority" in said
    # sshd itself does not load a certificate that is not meant for hosts
    assert fault in said or "no key of the pinned kind" in said


def test_server_without_a_certificate_is_refused_where_an_authority_is_pinned(site: Site) -> None:
    server = site.server()
    pinned = f"@cert-authority {server.host_key}"  # the very key, but as an authority
    said = site.send(server, site.folder / "known", host_key=pinned, certificate=False)
    assert "no host certificate of the pinned authority" in said


def test_pinned_key_is_still_the_only_one_where_the_server_has_a_certificate(site: Site) -> None:
    hosts = SshAuthority()
    server = site.server(f"HostCertificate {site.folder}/host-cert.pub")
    hosts.certify_file(site.folder / "host-cert.pub", server.host_key, "127.0.0.1", host=True)
    server.kill()
    server.start()
    assert site.send(server, site.folder / "known", certificate=False) == ""
