"""Errors of a broker as DeliveryErrors, each with its fix."""

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
    """Return the error for a connection or channel that the broker closed."""
    return DeliveryError(
        f"the broker closed the connection: {text or code}", where=where, fix=FIXES.get(code, USUAL_FIX)
    )


def lost(said: str, where: str, *, fix: str = USUAL_FIX) -> DeliveryError:
    """Return the error for a connection that cannot be made or is lost."""
    return DeliveryError(f"the AMQP connection failed: {said}", where=where, fix=fix)


def untrusted(error: ssl.SSLError, where: str) -> DeliveryError:
    """Return the error for failed TLS: which side does not trust the other's certificate."""
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
    """Return the error when no host accepted the connection."""
    if len(host_errors) == 1:
        return host_errors[0]
    return DeliveryError(
        "none of the brokers can be used: " + "; ".join(error.what for error in host_errors),
        where=", ".join(error.where for error in host_errors),
        fix=host_errors[-1].fix,
    )


def returned(text: str, place: str) -> DeliveryError:
    """Return the error for a returned message: no queue was found for it."""
    return DeliveryError(
        f"no queue takes the envelope: {text}",
        where=place,
        fix="the queue is not there, or not bound to the exchange: ask its owner to declare it, or correct "
        "send_queue; tried again by itself",
    )


def not_taken(place: str) -> DeliveryError:
    """Return the error for a message refused by nack."""
    return DeliveryError(
        "the broker could not take the envelope",
        where=place,
        fix="the queue is full or the node that holds it is down: ask its owner; tried again by itself",
    )
