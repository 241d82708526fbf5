"""`gateway signer` as a process: it signs for whoever has a certificate, and an operator can mend a wrong PIN."""

import contextlib
import signal
from pathlib import Path

import pytest

from signing.errors import KeyUnavailable
from tests.device_keys import PIN, card, write_pair
from tests.signer_process import client, listening, signer

DATA = b"<ds:SignedInfo/>"


def test_wrong_pin_is_mended_by_writing_the_right_one_and_sighup(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("00000000")
    write_pair(tmp_path, "file")
    with card(tmp_path) as control:
        keys = (
            '[[key]]\nname = "card"\nkind = "ukey"\ncertificate = "card.crt"\npassword_file = "pin"\n'
            f'[key.ukey]\nurl = "ws://127.0.0.1:{control.port}"\n'
            '[[key]]\nname = "file"\nkind = "pem"\nfile = "file.key"\ncertificate = "file.crt"\n'
        )
        with signer(tmp_path, keys) as process:
            address = listening(process)
            for _ in range(3):
                with (
                    contextlib.closing(client(tmp_path, address, "card")) as ours,
                    pytest.raises(KeyUnavailable, match="503"),
                ):
                    ours.sign(DATA)
            assert control.card.tries == 1
            with contextlib.closing(client(tmp_path, address, "file")) as other:
                assert other.sign(DATA)
                other.probe()
            (tmp_path / "pin").write_text(PIN)
            process.process.send_signal(signal.SIGHUP)
            address = listening(process, 2)
            with contextlib.closing(client(tmp_path, address, "card")) as ours:
                ours.probe()
                assert ours.sign(DATA)
            assert control.card.wrong_pins == 0
    log = (tmp_path / "signer.log").read_text("utf-8")
    assert PIN not in log
    assert '"key.locked"' in log
