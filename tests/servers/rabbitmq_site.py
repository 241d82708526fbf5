"""What the owner of a broker does there: declare queues, put receipts in, take envelopes out."""

import time
from pathlib import Path

from pamqp import commands, frame, header
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.common import FieldTable

from gateway.config.links import Rabbitmq
from gateway.transports.rabbitmq.hosts import check
from gateway.transports.rabbitmq.session import RabbitmqSession
from gateway.transports.rabbitmq.wire import method
from tests.servers.rabbitmq import PASSWORD, USER
from tests.waiting import PATIENCE_S


class Site:
    """Speaks to one broker, past every door of the test; each call on a connection of its own."""

    def __init__(self, port: int, folder: Path) -> None:
        self.password_file = folder / "broker-password"
        self.password_file.write_text(PASSWORD + "\n")
        self._port = port

    def config(self, *ports: int, send_queue: str, receive_queues: tuple[str, ...]) -> Rabbitmq:
        """Return a configuration for brokers at these ports."""
        return Rabbitmq(
            hosts=tuple(f"amqp://127.0.0.1:{port}" for port in ports or (self._port,)),
            user=USER,
            password_file=self.password_file,
            send_queue=send_queue,
            receive_queues=receive_queues,
            timeout_s=PATIENCE_S,
        )

    def declare(self, *queues: str, **arguments: str | int) -> None:
        """Declare durable queues; `max_length=1` stands for `x-max-length`."""
        table: FieldTable = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
        self._ask(
            *(commands.Queue.Declare(0, queue, durable=True, arguments=table) for queue in queues),
            answer=commands.Queue.DeclareOk,
        )

    def delete(self, *queues: str) -> None:
        """Delete queues with all that is in them."""
        self._ask(*(commands.Queue.Delete(0, queue) for queue in queues), answer=commands.Queue.DeleteOk)

    def put(
        self, queue: str, body: bytes, name: str = "", properties: commands.Basic.Properties | None = None
    ) -> None:
        """Put one persistent message into a queue and wait until it is safe there."""
        about = properties or commands.Basic.Properties(message_id=name, delivery_mode=2)
        session, deadline = self._open()
        confirmed: list[Frame] = []
        session.on_method = confirmed.append
        session.call(commands.Confirm.Select(), commands.Confirm.SelectOk, deadline)
        session.write(method(commands.Basic.Publish(0, "", queue)))
        session.write(frame.marshal(header.ContentHeader(0, len(body), about), 1))
        step = session.frame_bytes - 8
        for start in range(0, len(body), step):
            session.write(frame.marshal(ContentBody(body[start : start + step]), 1))
        session.wait(lambda: bool(confirmed), deadline)
        session.say_goodbye(deadline)

    def take(self, queue: str) -> list[tuple[bytes, commands.Basic.Properties]]:
        """Take everything out of a queue."""
        session, deadline = self._open()
        taken: list[tuple[bytes, commands.Basic.Properties]] = []
        count = (
            session.call(
                commands.Queue.Declare(0, queue, passive=True), commands.Queue.DeclareOk, deadline
            ).message_count
            or 0
        )
        session.on_content = lambda _method, properties, body: taken.append((body, properties))
        if count:
            session.write(method(commands.Basic.Consume(0, queue, "", no_ack=True)))
            session.wait(lambda: len(taken) >= count, deadline)
        session.say_goodbye(deadline)
        return taken

    def count(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        session, deadline = self._open()
        answer = session.call(
            commands.Queue.Declare(0, queue, passive=True), commands.Queue.DeclareOk, deadline
        )
        session.say_goodbye(deadline)
        return answer.message_count or 0

    def _ask(self, *questions: Frame, answer: type[Frame]) -> None:
        session, deadline = self._open()
        for question in questions:
            session.call(question, answer, deadline)
        session.say_goodbye(deadline)

    def _open(self) -> tuple[RabbitmqSession, float]:
        deadline = time.monotonic() + PATIENCE_S
        config = self.config(send_queue="none", receive_queues=("none",))
        return RabbitmqSession(config, check(config)[0], deadline), deadline
