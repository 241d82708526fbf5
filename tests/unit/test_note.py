"""Checkpoints: what is signed is what is read, and nothing else verifies."""

import hashlib
from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spool.note import Checkpoint, NodeKey, NoteError, VerifierKey, read, verified, verifier_key

KEY = NodeKey(name="gateway/north", private=Ed25519PrivateKey.from_private_bytes(bytes(32)))
OTHER = NodeKey(name="gateway/south", private=Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1"))
SAID = Checkpoint(origin="gateway/north", size=7, root=hashlib.sha256(b"root").digest())
NOTE = KEY.signed(SAID)


def test_note_has_the_lines_of_a_checkpoint_and_one_signature() -> None:
    origin, size, root, empty, signature, end = NOTE.split("\n")
    assert (origin, size, b64decode(root), empty, end) == ("gateway/north", "7", SAID.root, "", "")
    dash, name, code = signature.split(" ")
    assert (dash, name) == ("\u2014", "gateway/north")
    assert b64decode(code)[:4] == hashlib.sha256(b"gateway/north\n\x01" + KEY.public.key).digest()[:4]


def test_who_has_the_public_key_reads_what_was_signed() -> None:
    assert verified(NOTE, [OTHER.public, verifier_key(f" {KEY.public}\n")]) == SAID == read(NOTE)
    assert "private" not in repr(KEY)


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (NOTE.replace("\n7\n", "\n8\n"), "altered"),
        (NOTE.replace("gateway/north\n7", "gateway/south\n7"), "altered"),
        (OTHER.signed(SAID), "is not signed by"),
        (NOTE[:-1], "empty line"),
        (NOTE.replace("\n\n", "\n"), "empty line"),
        (NOTE + "nonsense\n", "not one"),
        (NOTE[:-3] + "!\n", "Base64"),
        (KEY.signed(Checkpoint(origin="x", size=7, root=b"short")), "form"),
        (KEY.signed(Checkpoint(origin="", size=7, root=SAID.root)), "form"),
    ],
)
def test_altered_note_is_refused(note: str, why: str) -> None:
    with pytest.raises(NoteError, match=why):
        verified(note, [KEY.public])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000+AAAA",
        str(KEY.public).replace("north", "south"),
        str(VerifierKey(name="", key=KEY.public.key)),
        str(KEY.public)[:-4],
        "name+1+***",
    ],
)
def test_text_that_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        verifier_key(text)
