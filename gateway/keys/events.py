"""Log the state changes of keys that are devices."""

from gateway.observe.log import log
from signing.keys.queue import Change


def log_key_change(change: Change) -> None:
    """Log that a key is not as it was before."""
    match change.what:
        case "quarantined":
            log("key.quarantined", key_name=change.key, error=change.why)
        case "locked":
            log("key.locked", key_name=change.key, error=change.why)
        case "restored":
            log("key.restored", key_name=change.key)
