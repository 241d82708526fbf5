"""How the client of a USB key finds its own answer among what the control says (docs/spec/ukey.md)."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from gateway.config.keys import KeyConfig, Ukey
from gateway.keys.keyring import Loader
from signing.errors import KeyUnavailable, WrongPin
from signing.keys.device import Identity, Pin, identity_of
from signing.keys.ukey import Control, UkeySigner
from tests.device_keys import PIN, card, write_pair

GREETING = json.dumps({"_id": 0, "_method": "open", "_status": "00", "_args": {}})
SIGN = Control().sign_method
Script = Callable[[dict[str, Any]], Sequence[str | bytes]]


def answer(asked: dict[str, Any], *data: str, **differs: object) -> str:
    """What a control says to a request, but for what differs."""
    args = {"Result": True, "Data": list(data), "Error": []}
    usual = {"_id": asked["_id"], "_method": asked["_method"], "_status": "00", "_args": args}
    return json.dumps(usual | differs)


@contextmanager
def control(script: Script, *, greets: bool = True) -> Iterator[str]:
    """Serve a control that says to each request what the script tells; yields its address."""

    def talk(connection: ServerConnection) -> None:
        if greets:
            connection.send(GREETING)
        for frame in connection:
            for told in script(json.loads(frame)):
                connection.send(told)

    with serve(talk, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        serving = Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        serving.join()


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return identity_of(write_pair(tmp_path, "card")[1])


def signer(url: str, identity: Identity, *, timeout_s: float = 60.0) -> UkeySigner:
    return UkeySigner(Control(url=url, timeout_s=timeout_s), identity, Pin(value=PIN, origin="here"))


def test_played_control_greets_before_any_request(tmp_path: Path) -> None:
    with card(tmp_path) as server, connect(f"ws://127.0.0.1:{server.port}") as connection:
        assert json.loads(connection.recv(timeout=60)) == json.loads(GREETING)


def test_late_answers_are_not_taken_for_the_signature_over_other_bytes(tmp_path: Path) -> None:
    with card(tmp_path, late_answers=True) as server:
        table = KeyConfig(
            name="card",
            kind="ukey",
            certificate=tmp_path / "card.crt",
            password_env="PIN",
            timeout_s=60.0,
            ukey=Ukey(url=f"ws://127.0.0.1:{server.port}"),
        )
        loader = Loader(health_dir=tmp_path / "state", operator=False, environment={"PIN": PIN})
        (member,) = loader.load("card", [table]).members
        public = x509.load_der_x509_certificate(member.signer.certificate_der).public_key()
        assert isinstance(public, rsa.RSAPublicKey)
        for data in (b"<a/>", b"<b/>", b"<c/>"):
            public.verify(member.signer.sign(data), data, padding.PKCS1v15(), SHA1())  # noqa: S303 (the suite)


def test_each_request_has_another_id_that_is_a_positive_32_bit_integer(identity: Identity) -> None:
    seen: list[int] = []

    def script(asked: dict[str, Any]) -> list[str]:
        seen.append(asked["_id"])
        return [answer(asked, "AAAA", identity.key_name)]

    with control(script) as url:
        for _ in range(10):
            signer(url, identity).sign(b"<a/>")
    assert len(set(seen)) == len(seen)
    assert all(isinstance(one, int) and 0 < one < 2**31 for one in seen)


@pytest.mark.parametrize(
    "differs",
    [{}, {"_id": "as text"}, {"_method": "left out"}],
    ids=["as asked", "id as text", "without the method"],
)
def test_own_answer_is_known_in_the_forms_that_controls_use(
    differs: dict[str, object], identity: Identity
) -> None:
    def script(asked: dict[str, Any]) -> list[str]:
        told = json.loads(answer(asked, "AQID", identity.key_name))
        if "_id" in differs:
            told["_id"] = str(told["_id"])
        if "_method" in differs:
            del told["_method"]
        return [json.dumps(told)]

    with control(script) as url:
        assert signer(url, identity).sign(b"<a/>") == b"\x01\x02\x03"


@pytest.mark.parametrize(
    "another",
    [
        lambda asked: answer(asked, "AAAA", "00", _id=asked["_id"] % 1000 + 2**31),
        lambda asked: answer(asked, "AAAA", "00", _method="cus-sec_SpcGetSignCertAsPEM"),
        lambda asked: answer(asked, _id=7, _args={"Result": False, "Data": [], "Error": ["PIN"]}),
        lambda asked: answer(asked, _id=None),
        lambda _asked: GREETING,
        lambda _asked: "{}",
    ],
    ids=["another id", "another method", "a refusal of another", "no id", "greeting", "nothing in it"],
)
def test_what_answers_another_request_is_read_past(
    another: Callable[[dict[str, Any]], str], identity: Identity
) -> None:
    def script(asked: dict[str, Any]) -> list[str]:
        return [another(asked), another(asked), answer(asked, "AQID", identity.key_name)]

    with control(script) as url:
        assert signer(url, identity).sign(b"<a/>") == b"\x01\x02\x03"


def test_control_without_a_greeting_signs_too(identity: Identity) -> None:
    with control(lambda asked: [answer(asked, "AQID", identity.key_name)], greets=False) as url:
        assert signer(url, identity).sign(b"<a/>") == b"\x01\x02\x03"


def test_a_greeting_alone_is_no_answer(identity: Identity) -> None:
    with control(lambda _asked: []) as url, pytest.raises(KeyUnavailable, match="no answer within"):
        signer(url, identity, timeout_s=0.2).sign(b"<a/>")


def test_frames_without_end_are_given_up(identity: Identity) -> None:
    with (
        control(lambda _asked: [GREETING] * 500) as url,
        pytest.raises(KeyUnavailable, match="none answers the request"),
    ):
        signer(url, identity).sign(b"<a/>")


@pytest.mark.parametrize("form", [str, str.encode], ids=["text", "bytes"])
def test_answer_in_parts_is_refused_by_name_and_is_no_wrong_pin(
    form: Callable[[str], str | bytes], identity: Identity
) -> None:
    header = "BLOCKTXT" + "0" * 120

    with (
        control(lambda asked: [form(header + answer(asked))]) as url,
        pytest.raises(KeyUnavailable, match="BLOCKTXT") as caught,
    ):
        signer(url, identity).sign(b"<a/>")
    assert not isinstance(caught.value, WrongPin)
    assert "sign_method" in caught.value.fix


@pytest.mark.parametrize(
    "frame",
    ["", "<html>", "[1]", "1", b"\xff\xfe", "[" * 100_000],
    ids=["empty", "no JSON", "a list", "a number", "no text", "deeply nested"],
)
def test_what_no_control_says_is_not_understood(frame: str | bytes, identity: Identity) -> None:
    with control(lambda _asked: [frame]) as url, pytest.raises(KeyUnavailable, match="not understood"):
        signer(url, identity).sign(b"<a/>")


def test_refusal_of_the_own_request_counts_as_a_wrong_pin(identity: Identity) -> None:
    refusal = {"Result": False, "Data": [], "Error": ["口令错误"]}
    with control(lambda asked: [answer(asked, _args=refusal)]) as url, pytest.raises(WrongPin):
        signer(url, identity).sign(b"<a/>")
