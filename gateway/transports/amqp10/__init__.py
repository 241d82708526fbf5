"""AMQP 1.0, out and in."""
