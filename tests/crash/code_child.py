"""Child process of the tests of what is learned of codes: counts as the keep role does, until it is killed."""

import sys
from pathlib import Path
from typing import Any

from gateway.config.gateway_toml import LimitsConfig
from gateway.receipts.learning.code_scan import CodeScan
from gateway.rules.loading import load_rules
from spool.postgres import PostgresSpool
from spool.sqlite import SqliteSpool
from spool.store import Spool
from tests.spool_samples import Clock

STRETCH = 3


def main() -> None:
    """Count stretch after stretch; a line before each commit and one after it, then one at the end."""
    (address,) = sys.argv[1:]
    clock = Clock()
    spool: Spool = (
        SqliteSpool(Path(address), clock) if address.startswith("/") else PostgresSpool(address, clock=clock)
    )
    add = spool.add_tallies

    def announced(*stretch: Any, **marks: Any) -> bool:
        print("before", flush=True)
        done = add(*stretch, **marks)
        print("after", flush=True)
        return done

    spool.add_tallies = announced  # type: ignore[method-assign]
    scan = CodeScan(spool, load_rules(), LimitsConfig(), ["one"], stretch=STRETCH)
    while scan.look():
        continue
    print("done", flush=True)


if __name__ == "__main__":
    main()
