"""Looks whether a broker lets us in, without sending or taking anything: for `gateway check`."""

import time
from typing import Final

from gateway.config.links import Amqp
from gateway.transports.amqp10.session import AmqpSession

_PROBE_S: Final = 5.0
"""How long a broker may take to answer a probe, whatever its own time-out."""
_GOODBYE_S: Final = 1.0
"""How long it may take to confirm that the session is over."""


def reach(config: Amqp) -> str:
    """Log in; returns what to report. Raises ConfigError and DeliveryError."""
    AmqpSession(config, _deadline(config)).close()
    return f"amqp {config.url}, logged in"


def reach_addresses(config: Amqp) -> str:
    """Log in and attach to both addresses; a peer without such an address closes the link or the session.

    Returns what to report. Raises ConfigError and DeliveryError.
    """
    deadline = _deadline(config)
    session = AmqpSession(config, deadline)
    try:
        ends = [session.attach(config.receive_address, sending=False)]
        ends.append(session.attach(config.send_address, sending=True))
        opened = session.proton.Endpoint.REMOTE_ACTIVE
        session.wait(lambda: all(end.state & opened for end in ends), deadline)
    finally:
        session.say_goodbye(time.monotonic() + _GOODBYE_S)
    return f"amqp {config.url}, logged in, there: {config.receive_address}, {config.send_address}"


def _deadline(config: Amqp) -> float:
    return time.monotonic() + min(config.timeout_s, _PROBE_S)
