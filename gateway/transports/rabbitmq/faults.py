"""What a broker says when it will not, as errors with the cure."""

import ssl

from gateway.errors import DeliveryError

FIXES = {
    320: "nothing to do: the broker is being stopped; tried again by itself",
    403: "check destination.rabbitmq.user, password_file and vhost, and the user's rights there "
    "(write on the exchange, read on the queues)",
    404: "check exchange and receive_queues; they must exist, we declare none",
    405: "another consumer has this queue for itself; ask who",
    530: "check destination.rabbitmq.vhost; it must exist and the user must be let in",
}
USUAL_FIX = "see that the broker runs and that the network lets us reach it; tried again by itself"


def closed(code: int, text: str, where: str) -> DeliveryError:
    """The broker closed connection or channel."""
    return DeliveryError(
        f"the broker closed the connection: {text or code}", where=where, fix=FIXES.get(code, USUAL_FIX)
    )


def lost(said: str, where: str, *, fix: str = USUAL_FIX) -> DeliveryError:
    """The connection cannot be made, or is gone."""
    return DeliveryError(f"the AMQP connection failed: {said}", where=where, fix=fix)


def untrusted(error: ssl.SSLError, where: str) -> DeliveryError:
    """TLS failed: whose certificate does who not trust."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return DeliveryError(
            f"the broker's certificate is not trusted: {error.verify_message or error.reason}",
            where=where,
            fix="destination.rabbitmq.ca_file must hold the authority that issued it, and hosts the name in it",
        )
    said = str(error.reason or error)
    if "ALERT" in said:
        return DeliveryError(
            f"the broker refused our certificate, or that we have none: {said}",
            where=where,
            fix="check destination.rabbitmq.client_certificate and client_key; the broker must trust who "
            "issued them",
        )
    return lost(f"TLS: {said}", where, fix="see that hosts names the broker's TLS port")


def refused(host_errors: list[DeliveryError]) -> DeliveryError:
    """None of the hosts would have us."""
    if len(host_errors) == 1:
        return host_errors[0]
    return DeliveryError(
        "none of the brokers can be used: " + "; ".join(error.what for error in host_errors),
        where=", ".join(error.where for error in host_errors),
        fix=host_errors[-1].fix,
    )


def returned(text: str, place: str) -> DeliveryError:
    """A message came back: nobody could be found to put it into."""
    return DeliveryError(
        f"no queue takes the envelope: {text}",
        where=place,
        fix="the queue is not there, or not bound to the exchange: ask its owner to declare it, or correct "
        "send_queue; tried again by itself",
    )


def not_taken(place: str) -> DeliveryError:
    """A message was refused by nack."""
    return DeliveryError(
        "the broker could not take the envelope",
        where=place,
        fix="the queue is full or the node that holds it is down: ask its owner; tried again by itself",
    )
