"""Tests a broker for `gateway check`: logs in, without sending or taking anything."""

from pamqp import commands

from gateway.config.links import Rabbitmq
from gateway.transports.rabbitmq.hosts import PLACES
from gateway.transports.rabbitmq.links import BrokerConnection
from gateway.transports.rabbitmq.session import RabbitmqSession


def reach(config: Rabbitmq) -> str:
    """Log in and check that exchange and queues exist; returns the text to show.

    A `send_queue` with placeholders is not checked. Raises ConfigError and DeliveryError.
    """
    line = BrokerConnection(config, lambda session, deadline: _Look(session, config, deadline))
    try:
        look = line.open()
        return f"rabbitmq {look.session.where}, logged in, there: {', '.join(look.found)}{_asks(config)}"
    finally:
        line.close()


def _asks(config: Rabbitmq) -> str:
    """Return what to ask the owner of the queues: AMQP 0-9-1 cannot query the arguments of a queue."""
    if not config.receive_queues:
        return ""
    queues = ", ".join(config.receive_queues)
    return (
        f"; ask the owner of {queues} for a delivery limit of -1 or a dead-letter exchange (docs/rabbitmq.md)"
    )


class _Look:
    """A connection on which exchange and queues were found."""

    is_worn = False

    def __init__(self, session: RabbitmqSession, config: Rabbitmq, deadline: float) -> None:
        self.session = session
        queues = list(config.receive_queues)
        if not config.exchange and not PLACES.search(config.send_queue):
            queues.insert(0, config.send_queue)
        for queue in queues:
            session.call(commands.Queue.Declare(0, queue, passive=True), commands.Queue.DeclareOk, deadline)
        self.found = [f"queue {queue}" for queue in queues]
        if config.exchange:
            exchange = commands.Exchange.Declare(0, config.exchange, passive=True)
            session.call(exchange, commands.Exchange.DeclareOk, deadline)
            self.found.insert(0, f"exchange {config.exchange}")
