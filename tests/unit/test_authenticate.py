"""Who is asking: tokens, certificates, signatures and addresses, one rule a test; no network."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from gateway.config.networks import networks
from gateway.doors.http.authenticate import Authenticator, Unauthenticated
from gateway.doors.http.credentials import Credentials, Peer
from gateway.doors.http.failed_logins import Logins
from gateway.doors.http.nonces import Nonces
from gateway.doors.http.request_signature import NO_BODY, WINDOW_S, RequestSignature, signature_of
from gateway.model import Enterprise, EnterpriseId, HmacKey

NOW = 1_764_230_400.0
SECRET = b"s" * 32


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def enterprise(name: str, **given: Any) -> Enterprise:
    return Enterprise(id=EnterpriseId(name), name=name, cop_codes=frozenset(), dxp_ids=frozenset(), **given)


ANN = enterprise(
    "ann",
    token_sha256=(digest("old"), digest("new")),
    certificate_sha256=frozenset({"a" * 64}),
    hmac_keys=(HmacKey(id="ann-1", secret=SECRET),),
)
BOB = enterprise("bob", token_sha256=(digest("bobs"),), certificate_sha256=frozenset({"b" * 64}))
FENCED = enterprise("fenced", token_sha256=(digest("inside"),), addresses=(ip_network("10.1.0.0/16"),))
GONE = enterprise(
    "gone",
    token_sha256=(digest("gone"),),
    hmac_keys=(HmacKey(id="gone-1", secret=SECRET),),
    disabled=True,
)


@dataclass
class Seconds:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def callers(tmp_path: Path, clock: Seconds) -> Authenticator:
    return known(tmp_path, clock)


def known(folder: Path, clock: Seconds, *proxies: str) -> Authenticator:
    return Authenticator(
        [ANN, BOB, FENCED, GONE],
        trusted_proxies=networks(proxies, "here"),
        nonces=Nonces(folder / "nonces"),
        logins=Logins(longest_s=3.0, clock=clock),
        clock=clock,
    )


def showing(
    token: str = "", *, certificate: str = "", address: str = "192.0.2.1", forwarded: str = ""
) -> Credentials:
    return Credentials(
        peer=Peer(address, certificate),
        authorization=f"Bearer {token}" if token else "",
        forwarded=forwarded,
    )


def signed(
    nonce: str = "n" * 16, *, secret: bytes = SECRET, certificate: str = "", **other: Any
) -> Credentials:
    asked = {
        "method": "GET",
        "target": "/v1/receipts?wait=30",
        "key": "ann-1",
        "timestamp": str(int(NOW)),
        "nonce": nonce,
        "content_sha256": NO_BODY,
    } | other
    mac = asked.pop("signature", None) or signature_of(RequestSignature(**asked), secret)
    return Credentials(
        peer=Peer("192.0.2.1", certificate), signature=RequestSignature(**asked, signature=mac)
    )


def unknown(found: Enterprise | Unauthenticated) -> tuple[str, ...]:
    """See that somebody is unknown; the rules of the faults that are told."""
    assert isinstance(found, Unauthenticated)
    assert found.problem == "unauthorised"
    assert found.headers == {"WWW-Authenticate": 'Bearer realm="gateway"'}
    return tuple(fault.rule for fault in found.faults)


@pytest.mark.parametrize("token", ["old", "new"])
def test_every_token_that_is_valid_lets_in(callers: Authenticator, token: str) -> None:
    assert callers.authenticate(showing(token)) is ANN


@pytest.mark.parametrize("token", ["", "wrong", "gone", digest("new"), "näh", " "])
def test_any_other_token_is_unknown_whatever_is_wrong_with_it(callers: Authenticator, token: str) -> None:
    assert unknown(callers.authenticate(showing(token))) == ()


def test_other_schemes_than_bearer_let_nobody_in(callers: Authenticator) -> None:
    assert unknown(callers.authenticate(Credentials(peer=Peer(), authorization="Basic new"))) == ()
    assert callers.authenticate(Credentials(peer=Peer(), authorization="bearer new")) is ANN


def test_certificate_lets_in_in_place_of_a_token_or_beside_it(callers: Authenticator) -> None:
    assert callers.authenticate(showing(certificate="a" * 64)) is ANN
    assert callers.authenticate(showing("new", certificate="a" * 64)) is ANN
    assert callers.authenticate(showing("new", certificate="c" * 64)) is ANN, "of nobody, so it says nothing"
    assert unknown(callers.authenticate(showing(certificate="c" * 64))) == ()


def test_token_of_one_with_the_certificate_of_another_lets_nobody_in(callers: Authenticator) -> None:
    assert unknown(callers.authenticate(showing("new", certificate="b" * 64))) == ()
    assert unknown(callers.authenticate(signed(certificate="b" * 64))) == ()


def test_wrong_token_is_not_saved_by_a_certificate(callers: Authenticator) -> None:
    assert unknown(callers.authenticate(showing("wrong", certificate="a" * 64))) == ()


def test_signature_lets_in_once(callers: Authenticator) -> None:
    assert callers.authenticate(signed()) is ANN
    assert unknown(callers.authenticate(signed())) == ("signature_nonce",)
    assert callers.authenticate(signed("m" * 16)) is ANN


@pytest.mark.parametrize(
    "change",
    [
        {"method": "POST"},
        {"target": "/v1/receipts?wait=31"},
        {"timestamp": str(int(NOW) + 1)},
        {"nonce": "o" * 16},
        {"content_sha256": "0" * 64},
    ],
)
def test_signature_covers_all_of_the_request(callers: Authenticator, change: dict[str, Any]) -> None:
    right = signed().signature
    assert right is not None
    assert unknown(callers.authenticate(signed(signature=right.signature, **change))) == ()
    assert callers.authenticate(signed()) is ANN, "what did not hold uses up no nonce"


@pytest.mark.parametrize("wrong", [{"secret": b"t" * 32}, {"key": "nobody-1"}, {"key": "gone-1"}])
def test_wrong_secret_and_unknown_key_are_answered_alike(
    callers: Authenticator, wrong: dict[str, Any]
) -> None:
    assert unknown(callers.authenticate(signed(**wrong))) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", ""),
        ("key", "a key"),
        ("timestamp", "yesterday"),
        ("timestamp", "-5"),
        ("timestamp", "٣٣٣"),
        ("nonce", "short"),
        ("nonce", "n" * 65),
        ("content_sha256", "A" * 64),
        ("signature", "0" * 63),
    ],
)
def test_header_that_is_missing_or_of_another_form_is_named(
    callers: Authenticator, name: str, value: str
) -> None:
    asked: dict[str, Any] = {"signature": "0" * 64, name: value}
    assert unknown(callers.authenticate(signed(**asked))) == ("signature_header",)


@pytest.mark.parametrize("seconds", [-WINDOW_S, WINDOW_S])
def test_timestamp_at_the_edge_of_the_window_is_believed(callers: Authenticator, seconds: int) -> None:
    assert callers.authenticate(signed(timestamp=str(int(NOW) + seconds))) is ANN


@pytest.mark.parametrize("seconds", [-WINDOW_S - 1, WINDOW_S + 1])
def test_wrong_clock_is_told_to_whoever_signed_rightly_and_to_nobody_else(
    callers: Authenticator, seconds: int
) -> None:
    stamp = str(int(NOW) + seconds)
    found = callers.authenticate(signed(timestamp=stamp))
    assert unknown(found) == ("signature_time",)
    assert isinstance(found, Unauthenticated)
    assert str(int(NOW)) in found.faults[0].message
    assert unknown(callers.authenticate(signed(timestamp=stamp, secret=b"t" * 32))) == ()


def test_replay_is_refused_by_the_next_process_too(tmp_path: Path, clock: Seconds) -> None:
    assert known(tmp_path, clock).authenticate(signed()) is ANN
    assert unknown(known(tmp_path, clock).authenticate(signed())) == ("signature_nonce",)


def test_replay_is_refused_as_long_as_its_timestamp_is_believed(
    callers: Authenticator, clock: Seconds
) -> None:
    late = str(int(NOW) + WINDOW_S)
    assert callers.authenticate(signed(timestamp=late)) is ANN
    for _ in range(2 * WINDOW_S // 100):
        clock.now += 100
        assert unknown(callers.authenticate(signed(timestamp=late))) == ("signature_nonce",)
    clock.now += 1
    assert unknown(callers.authenticate(signed(timestamp=late))) == ("signature_time",)


def test_caller_from_an_address_that_is_not_its_own_is_known_and_told(callers: Authenticator) -> None:
    assert callers.authenticate(showing("inside", address="10.1.2.3")) is FENCED
    assert callers.authenticate(showing("inside", address="::ffff:10.1.2.3")) is FENCED
    found = callers.authenticate(showing("inside", address="10.2.0.1"))
    assert isinstance(found, Unauthenticated)
    assert (found.problem, [fault.rule for fault in found.faults]) == (
        "not-your-identity",
        ["address_not_yours"],
    )
    assert found.faults[0].value == "10.2.0.1"
    assert "10.1.0.0" not in found.faults[0].message


def test_forwarded_address_counts_from_trusted_proxies_only(tmp_path: Path, clock: Seconds) -> None:
    trusting = known(tmp_path, clock, "192.0.2.0/24")
    inside = showing("inside", address="192.0.2.9", forwarded="10.1.2.3")
    assert trusting.authenticate(inside) is FENCED
    assert isinstance(known(tmp_path, clock).authenticate(inside), Unauthenticated), "nobody is trusted"
    liar = showing("inside", address="203.0.113.5", forwarded="10.1.2.3")
    assert isinstance(trusting.authenticate(liar), Unauthenticated)


def test_what_a_caller_writes_before_the_proxy_does_is_not_believed(tmp_path: Path, clock: Seconds) -> None:
    trusting = known(tmp_path, clock, "192.0.2.0/24")
    forged = showing("inside", address="192.0.2.9", forwarded="10.1.2.3, 203.0.113.5, 192.0.2.8")
    assert isinstance(trusting.authenticate(forged), Unauthenticated)
    behind_two = showing("inside", address="192.0.2.9", forwarded="203.0.113.5, 10.1.2.3,192.0.2.8")
    assert trusting.authenticate(behind_two) is FENCED


def test_failures_from_one_address_wait_longer_and_longer_and_what_is_right_does_not(
    callers: Authenticator,
) -> None:
    found = [callers.authenticate(showing("wrong")) for _ in range(20)]
    delays = [one.delay_s for one in found if isinstance(one, Unauthenticated)]
    assert delays[:7] == [0, 0, 0, 0, 0, 0.1, 0.2]
    assert delays[-1] == 3.0
    assert delays == sorted(delays)
    assert callers.authenticate(showing("new")) is ANN
    other = callers.authenticate(showing("wrong", address="192.0.2.2"))
    assert isinstance(other, Unauthenticated)
    assert other.delay_s == 0


def test_token_with_an_end_lets_in_until_then_and_is_told_afterwards(tmp_path: Path, clock: Seconds) -> None:
    end = datetime.fromtimestamp(NOW, UTC) + timedelta(days=1)
    ending = enterprise(
        "ending", token_sha256=(digest("short"), digest("long")), token_until={digest("short"): end}
    )
    callers = Authenticator(
        [ending],
        nonces=Nonces(tmp_path / "nonces"),
        logins=Logins(longest_s=3.0, clock=clock),
        clock=clock,
    )
    clock.now = end.timestamp() - 0.001
    assert callers.authenticate(showing("short")) is ending
    clock.now = end.timestamp()
    found = callers.authenticate(showing("short"))
    assert unknown(found) == ("login_expired",)
    assert isinstance(found, Unauthenticated)
    (fault,) = found.faults
    assert (
        fault.message == f"the last day of this token was {datetime.fromtimestamp(NOW, UTC):%Y-%m-%d} (UTC)"
    )
    assert "令牌" in fault.message_zh
    assert callers.authenticate(showing("long")) is ending


def test_hmac_key_with_an_end_signs_until_then_and_only_who_has_it_is_told(
    tmp_path: Path, clock: Seconds
) -> None:
    end = datetime.fromtimestamp(NOW, UTC)
    ending = enterprise("ending", hmac_keys=(HmacKey(id="ann-1", secret=SECRET, until=end),))
    callers = Authenticator(
        [ending],
        nonces=Nonces(tmp_path / "nonces"),
        logins=Logins(longest_s=3.0, clock=clock),
        clock=clock,
    )
    clock.now = end.timestamp() - 1
    assert callers.authenticate(signed()) is ending
    clock.now = end.timestamp()
    assert unknown(callers.authenticate(signed("m" * 16))) == ("login_expired",)
    assert unknown(callers.authenticate(signed("m" * 16, secret=b"x" * 32))) == ()
