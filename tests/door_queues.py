"""The two queues of a door at a real broker, as the platform sees them."""

import uuid
from dataclasses import dataclass, field

from pamqp import commands

from tests.servers.rabbitmq import USER
from tests.servers.rabbitmq_site import Site
from tests.servers.tcp_door import TcpDoor
from tests.waiting import until

Reply = tuple[bytes, commands.Basic.Properties]


@dataclass(kw_only=True)
class QueuePlace:
    """One pair of queues, reached by the gateway through a door that can be shut."""

    kind: str
    site: Site
    door: TcpDoor
    queue: str = field(default_factory=lambda: f"in-{uuid.uuid4().hex[:8]}")
    got: list[Reply] = field(default_factory=list)

    @property
    def reply_queue(self) -> str:
        return f"{self.queue}-replies"

    def toml(self) -> str:
        login = f'user = "{USER}"\npassword_file = "{self.site.password_file}"\ntimeout_s = 10\n'
        if self.kind == "amqp":
            return (
                f'\n[[door]]\nkind = "amqp"\nurl = "amqp://127.0.0.1:{self.door.port}"\n{login}'
                f'queue = "/amq/queue/{self.queue}"\nreply_queue = "/amq/queue/{self.reply_queue}"\n'
            )
        return (
            f'\n[[door]]\nkind = "rabbitmq"\nhosts = ["amqp://127.0.0.1:{self.door.port}"]\n{login}'
            f'queue = "{self.queue}"\nreply_queue = "{self.reply_queue}"\n'
        )

    def said(self, verdict: str) -> str:
        """The type of an answer; the plugin for 1.0 drops the subject and says what its body is made of."""
        return "binary" if self.kind == "amqp" else verdict

    def put(self, body: bytes, name: str = "") -> None:
        self.site.put(self.queue, body, name)

    def answers(self, count: int, *, seconds: float = 30) -> dict[str, Reply]:
        """Wait for so many answers, by correlation id."""

        def take() -> list[Reply]:
            self.got += self.site.take(self.reply_queue)
            return self.got

        until(take, lambda got: len({about.correlation_id for _, about in got}) >= count, seconds=seconds)
        return {str(about.correlation_id): (body, about) for body, about in self.got}
