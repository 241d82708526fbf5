"""RabbitMQ (AMQP 0-9-1), out and in."""
