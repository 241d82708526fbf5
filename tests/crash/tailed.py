"""A process whose stdout is a file, as under a supervisor that redirects it: a disk for it may be full."""

import threading
from collections.abc import Sequence
from pathlib import Path

from gateway.simulator.world import WatchedProcess

_LOOKS_EVERY_S = 0.02


class Tailed(WatchedProcess):
    """Hears what the process appends to its log; what it writes elsewhere, to stderr, is kept beside it."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        """`command` makes the process write into `log`."""
        log.touch()
        self._log, self._from = log, log.stat().st_size
        self._over = threading.Event()
        self._tail = threading.Thread(target=self._follow, name=f"tail-{log.stem}", daemon=True)
        super().__init__(command, log.with_suffix(".stderr"))
        self._tail.start()

    def _follow(self) -> None:
        with self._log.open("rb") as log:
            log.seek(self._from)
            begun = b""
            while True:
                over = self._over.is_set()
                for piece in log:
                    begun += piece
                    if begun.endswith(b"\n"):
                        self._hear(begun)
                        begun = b""
                if over:
                    return
                self._over.wait(_LOOKS_EVERY_S)

    def _join(self) -> int:
        code = super()._join()
        self._over.set()
        self._tail.join()
        return code
