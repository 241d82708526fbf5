"""AMQP 1.0: transport and feed."""
