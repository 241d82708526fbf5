"""Simulates E-Port's USB key: a WebSocket control with a card that can be slow, mute, broken or locked.

Behaves as docs/spec/ukey.md observes the real one. The card is a key and certificate in files; one signature at a time.
"""

import json
import random
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from gateway.simulator.settings import UkeySection
from signing.errors import SigningError
from signing.keys.files import Signer, load_pem

_SIGN: Final = "cus-sec_SpcSignDataAsPEM"
_CERTIFICATE: Final = "cus-sec_SpcGetSignCertAsPEM"
_READER: Final = ("[读卡器底层库]复位读卡器失败:错误码：50070", "Err:Custom50070")
_WRONG_PIN: Final = ("[安全中间件]口令校验失败", "Err:Custom50021")
_LOCKED: Final = ("[安全中间件]卡已锁死", "Err:Custom50022")
_UNKNOWN: Final = ("unknown method", "Err:Custom1")
_GREETING: Final = json.dumps({"_id": 0, "_method": "open", "_status": "00", "_args": {}})
_Answer = tuple[bool, list[str]]


class Card:
    """The card and its reader; any thread may change their faults at any time."""

    def __init__(
        self, signer: Signer, config: UkeySection, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._signer = signer
        self._config = config
        self._sleep = sleep
        self._random = random.Random(config.seed)  # noqa: S311 (plays faults)
        self._busy = threading.Lock()
        self.dark = config.dark
        """No request is answered any more."""
        self.reader_errors = config.reader_errors
        """Share of the signatures that fail in the reader."""
        self.pin = config.pin
        self.signed = 0
        self.wrong_pins = 0
        """Wrong PINs since the last right one."""
        self.tries = 0
        """Requests that carried a PIN."""

    @property
    def locked(self) -> bool:
        """Whether the card refuses every PIN after too many wrong ones."""
        return self.wrong_pins >= self._config.locks_after

    def answer(self, method: str, args: dict[str, Any]) -> _Answer | None:
        """Execute a request and return (good, data or errors); None: never answered."""
        with self._busy:
            if self.dark:
                return None
            if method == _CERTIFICATE:
                return True, [b64encode(self._signer.certificate_der).decode()]
            if method != _SIGN:
                return False, list(_UNKNOWN)
            return self._sign(str(args.get("inData", "")), str(args.get("passwd", "")))

    def _sign(self, text: str, pin: str) -> _Answer | None:
        self.tries += 1
        if self.locked:
            return False, list(_LOCKED)
        if pin != self.pin:
            self.wrong_pins += 1
            return False, list(_WRONG_PIN)
        self.wrong_pins = 0
        if self._random.random() < self.reader_errors:
            return False, list(_READER)
        if self._config.sign_s:
            self._sleep(self._config.sign_s)
        if self.dark:
            return None
        self.signed += 1
        return True, [b64encode(self._signer.sign(text.encode())).decode(), self._signer.key_name]


class UkeyServer:
    """The control: sends a greeting, then one answer for each request, as JSON text frames."""

    def __init__(self, config: UkeySection) -> None:
        """Read the card's files; does not listen yet. Raises SigningError, OSError."""
        self._config = config
        self.card = Card(load_pem(config.key, config.certificate), config)
        self._server: Server | None = None
        self._stopped = threading.Event()
        self._earlier = ""
        """The previous answer, which `late_answers` sends once more."""

    @property
    def port(self) -> int:
        """TCP port it listens on, once started."""
        if self._server is None:
            return self._config.port
        return int(self._server.socket.getsockname()[1])

    def start(self) -> None:
        """Listen, in threads of its own. Raises OSError when the port is taken."""
        self._server = serve(
            self._talk, self._config.host, self._config.port, compression=None, ping_interval=None
        )
        threading.Thread(target=self._server.serve_forever, name="ukey-control", daemon=True).start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._stopped.set()
        if self._server is not None:
            self._server.shutdown()

    def _talk(self, connection: ServerConnection) -> None:
        try:
            connection.send(_GREETING)
            for frame in connection:
                if (told := self._reply(frame)) is None:
                    self._stopped.wait()
                    return
                if self._config.late_answers and self._earlier:
                    connection.send(self._earlier)
                self._earlier = told
                connection.send(told)
        except ConnectionClosed:
            return

    def _reply(self, frame: str | bytes) -> str | None:
        asked = json.loads(frame)
        method, number = asked.get("_method", ""), asked.get("_id")
        try:
            answer = self.card.answer(method, asked.get("args") or {})
        except SigningError as error:
            answer = False, [str(error)]
        if answer is None:
            return None
        good, texts = answer
        args = {"Result": good, "Data": texts if good else [], "Error": [] if good else texts}
        return json.dumps(
            {"_id": number, "_method": method, "_status": "00", "_args": args}, ensure_ascii=False
        )
