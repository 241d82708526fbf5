"""RabbitMQ (AMQP 0-9-1): transport and feed."""
