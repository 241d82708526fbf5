"""The rules as shipped, loaded once a process."""

from functools import cache

from gateway.rules.loading import Rules, load_rules


@cache
def shipped() -> Rules:
    return load_rules()
