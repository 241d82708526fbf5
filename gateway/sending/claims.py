"""Cleans up claims at the start of a process: its own from before a crash, and those of earlier generations."""

from gateway.observe.log import log
from gateway.sending.resend import log_ended
from spool.claimants import first_of
from spool.lifecycle import State
from spool.store import Spool


def take_up_claims(spool: Spool, claimant: str) -> None:
    """Make ready what this claimant held when it died; leave to earlier generations, which may live, what they hold."""
    recovered = spool.recover(claimant=claimant)
    if recovered:
        log("lease.expired", claimant=claimant, entries=len(recovered))
        log_ended(one for one in recovered if one.state is State.DEAD)
    if claimant != first_of(claimant) and (left := spool.leave(claimant)):
        log("claims.left", claimant=claimant, entries=left)
