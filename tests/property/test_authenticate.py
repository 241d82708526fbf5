"""Whatever a request shows, somebody is recognised or turned away: nothing in a header is an error of ours."""

from pathlib import Path
from tempfile import mkdtemp

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.networks import networks
from gateway.doors.http.authenticate import Authenticator, Unauthenticated
from gateway.doors.http.credentials import Peer, credentials_of
from gateway.doors.http.failed_logins import Logins
from gateway.doors.http.nonces import Nonces
from gateway.model import Enterprise, EnterpriseId, HmacKey

ME = Enterprise(
    id=EnterpriseId("me"),
    name="Me",
    cop_codes=frozenset(),
    dxp_ids=frozenset(),
    token_sha256=("0" * 64,),
    hmac_keys=(HmacKey(id="me-1", secret=b"s" * 32),),
)
CALLERS = Authenticator(
    [ME],
    trusted_proxies=networks(["0.0.0.0/0"], "here"),
    nonces=Nonces(Path(mkdtemp()) / "nonces"),
    logins=Logins(longest_s=3.0, most=10),
)
VALUES = st.one_of(
    st.binary(max_size=80),
    st.sampled_from([b"", b"me-1", b"1764230400", b"n" * 16, b"0" * 64, b"Bearer x", b"10.0.0.1, ::1, x"]),
)
NAMES = st.sampled_from(
    [
        b"authorization",
        b"x-forwarded-for",
        b"x-gateway-key",
        b"x-gateway-timestamp",
        b"x-gateway-nonce",
        b"x-gateway-content-sha256",
        b"x-gateway-signature",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=9),
    address=st.sampled_from(["", "192.0.2.1", "::ffff:10.0.0.1", "fe80::1%eth0", "nowhere"]),
    query=st.binary(max_size=20).map(lambda raw: raw.hex().encode()),
)
def test_headers_of_any_content_never_are_an_error_of_ours(
    headers: list[tuple[bytes, bytes]], address: str, query: bytes
) -> None:
    first = dict(reversed(headers))
    shown = credentials_of(first, headers, Peer(address), method="POST", url=b"/v1/messages?" + query)
    found = CALLERS.authenticate(shown)
    assert isinstance(found, Unauthenticated)
    assert found.problem == "unauthorised"
    assert 0 <= found.delay_s <= 3
