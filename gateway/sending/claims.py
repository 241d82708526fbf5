"""Cleans up claims at the start of a process: its own from before a crash, and those of earlier generations."""

from gateway.observe.log import log
from gateway.sending.resend import tell
from spool.claimants import first_of
from spool.lifecycle import State
from spool.store import Spool


def begin(spool: Spool, claimant: str) -> None:
    """Release the entries that this claimant held when it died; earlier generations may still run and keep theirs."""
    recovered = spool.recover(claimant=claimant)
    if recovered:
        log("lease.expired", claimant=claimant, entries=len(recovered))
        tell(one for one in recovered if one.state is State.DEAD)
    if claimant != first_of(claimant) and (left := spool.leave(claimant)):
        log("claims.left", claimant=claimant, entries=left)
