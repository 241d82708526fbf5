"""Evidence of nodes that share one database and one key: who has the public line of either can verify all of it."""

from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.app.build import App
from gateway.config.site import DEMO, write_site
from gateway.evidence.verification import FindingMark, verify_bundle
from gateway.keys.node_key import node_key
from gateway.upkeep.checkpoints import Sealer
from spool.note import VerifierKey, verifier_key
from tests import documents as make
from tests.command_line import Node, invoke, node_at


def _seal(node: Node) -> None:
    with closing(node.app.spool()) as spool:
        Sealer(spool, node_key(node.app.config), every_s=60, events=99).look()


def broken(content: bytes, key: VerifierKey) -> list[str]:
    return [one.text for one in verify_bundle(content, [key]) if one.mark is FindingMark.BROKEN]


def test_nodes_with_one_key_verify_with_the_line_of_either(tmp_path: Path) -> None:
    north = node_at(write_site(tmp_path / "s", port=0, enterprises=(DEMO,)).folder)
    shared = tmp_path / "shared.key"
    shared.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    text = north.app.file.read_text("utf-8")
    named = text.replace("[journal]\n", f'[journal]\nkey_file = "{shared}"\n')
    north.app.file.write_text(named, "utf-8")
    other = north.app.file.with_name("south.toml")
    other.write_text(named.replace('name = "gateway"', 'name = "south"'), "utf-8")
    north, south = node_at(tmp_path / "s"), Node(app=App(other))
    lines_of = [verifier_key(one.run("journal", "key").stdout) for one in (north, south)]
    assert lines_of[0].name != lines_of[1].name

    uids = []
    for number, sealer in enumerate((north, south, north, south)):  # by turns, as on one database
        uids += north.accept(make.order(f"ORDER-{number}"))
        _seal(sealer)
        for one in (north, south):
            assert one.run("journal", "verify").exit_code == 0
            for uid in uids:
                file = tmp_path / "evidence.json"
                assert one.run("evidence", "export", uid, "-o", file).exit_code == 0
                for line in lines_of:
                    assert broken(file.read_bytes(), line) == []
                    assert invoke("evidence", "verify", file, "--key", line).exit_code == 0
