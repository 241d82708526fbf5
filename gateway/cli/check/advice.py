"""`gateway check`: the rules that advice is given by, and which enterprises refuse messages on it."""

from collections.abc import Iterator

from gateway.advice.blocking import check_block_on
from gateway.cli.advice import new_adviser
from gateway.cli.check.result import Check, Grade, failed
from gateway.cli.open_spool import enterprises_of, rules_of
from gateway.config.gateway_toml import Config
from gateway.errors import ConfigError, GatewayError


def probe_advice(config: Config) -> Iterator[Check]:
    """Compile every rule, and report who blocks on what; what is wrong in other parts, their own probes report."""
    try:
        rules = rules_of(config)
        new_adviser(rules).check(rules.catalogue.declarations())
    except GatewayError as error:
        yield failed("advice", error)
        return
    own = f", {config.rules.advice_dir} included" if config.rules.advice_dir else ""
    yield Check(name="advice", grade=Grade.OK, detail=f"{len(rules.rulebook.rules)} rules compile{own}")
    try:
        enterprises = enterprises_of(config)
    except ConfigError:
        return  # the probe of enterprises tells
    folder = config.accept.enterprises_dir
    for one in enterprises.values():
        if one.disabled or not one.block_on:
            continue
        name = f"enterprise {one.id}"
        try:
            check_block_on([one], rules.rulebook, folder)
        except ConfigError as error:
            yield failed(name, error)
        else:
            yield Check(name=name, grade=Grade.OK, detail=f"blocks on {', '.join(one.block_on)}")
