"""`gateway check`: the channels on which enterprises get their answers."""

from collections.abc import Iterator

from gateway.cli.check.batches import probe_batch
from gateway.cli.check.result import Check, Grade, failed
from gateway.config.channels import Channel
from gateway.config.enterprises import load_channels
from gateway.config.gateway_toml import Config
from gateway.errors import ConfigError, DeliveryError, GatewayError
from gateway.transports.adapters import out_adapter_of


def probe_channels(config: Config) -> Iterator[Check]:
    """Connect to every channel and send nothing.

    An unreachable channel is a warning only: it belongs to one enterprise, whose answers wait; no other is delayed.
    """
    try:
        channels = load_channels(config.accept.enterprises_dir, lease_s=config.lease_s)
    except ConfigError as error:
        yield failed("channels", error)
        return
    for channel in channels:
        yield _channel(channel)
        yield from probe_batch(channel, config.lease_s)


def _channel(channel: Channel) -> Check:
    name = f"channel {channel.enterprise}/{channel.deliver.name}"
    try:
        return Check(name=name, grade=Grade.OK, detail=out_adapter_of(channel.deliver.link).probe())
    except DeliveryError as error:
        where = f" ({error.where})" if error.where else ""
        return Check(name=name, grade=Grade.WARN, detail=f"{error.what}{where}", fix=error.fix)
    except GatewayError as error:
        return failed(name, error)
