"""`gateway run`: runs the gateway."""

import socket
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.app.build import App

ROLES = ("accept", "forward", "collect", "import", "notify", "keep")


@click.command()
@click.option(
    "-c", "--config", "file", type=click.Path(path_type=Path), default=Path("gateway.toml"), show_default=True
)
@click.option(
    "--role", "names", multiple=True, type=click.Choice(ROLES), help="Only these roles; default: all of them."
)
def run(file: Path, names: tuple[str, ...]) -> None:
    """Run the gateway until SIGTERM, which drains it; SIGHUP reads the configuration again.

    A change in the folder of enterprises is taken up by itself.
    """
    from gateway.app.build import App  # noqa: PLC0415 (only this command needs it)
    from gateway.app.file_watch import FolderWatch  # noqa: PLC0415
    from gateway.config.gateway_toml import load_config  # noqa: PLC0415
    from gateway.config.in_force import LastReload, tell_left_out  # noqa: PLC0415
    from gateway.doors.http.handover import Handover, OpenDoor  # noqa: PLC0415
    from gateway.errors import GatewayError  # noqa: PLC0415
    from gateway.observe.defects import capture_libraries  # noqa: PLC0415
    from gateway.observe.log import configure_logs, log  # noqa: PLC0415
    from gateway.observe.metric_files import metric_files  # noqa: PLC0415
    from gateway.processes.supervisor import Role, Supervisor  # noqa: PLC0415

    wanted = names or ROLES
    watch = FolderWatch(load_config(file).accept.enterprises_dir)  # before the enterprises are read
    last_reload = LastReload()
    app = App(file)
    configure_logs(app.config.log_level)
    capture_libraries()
    tell_left_out(app.left_out)
    with closing(app.spool()) as spool:
        spool.acknowledged("")  # creates or migrates the database before any role uses it
    app.warm()
    door = None
    if "accept" in wanted:
        listening = open_door(app.config.accept.host, app.config.accept.port)
        door = OpenDoor(listening=listening, handover=Handover.make())
        host, port = listening.getsockname()[:2]
        scheme = "http" if app.config.accept.tls is None else "https"
        log("node.listening", address=f"{scheme}://{host}:{port}")

    def reload(*, operator: bool = True) -> list[Role] | None:
        nonlocal app
        try:
            watch.follow(load_config(file).accept.enterprises_dir)
            renewed = App(file, operator=operator, generation=app.generation + 1)
            renewed.warm()
        except GatewayError as error:
            log("node.reload_failed", error=str(error))
            last_reload.failed()
            return None
        last_reload.succeeded()
        tell_left_out(renewed.left_out)
        _journal(app, renewed)
        app.close()
        app = renewed
        return app.roles(wanted, door, last_reload)

    def notice() -> list[Role] | None:
        return reload(operator=False) if watch.changed() else None

    with metric_files(app.config.node.state_dir):
        Supervisor(
            app.roles(wanted, door, last_reload),
            reload=reload,
            notice=notice,
            drain_s=20.0,
            hung_after_s=app.config.node.hung_after_s,
        ).run()


def _journal(before: "App", after: "App") -> None:
    """Write into the journal what a reload changes."""
    from gateway.observe.log import log  # noqa: PLC0415
    from gateway.upkeep.operator_acts import taken_up, write  # noqa: PLC0415
    from spool.errors import SpoolError  # noqa: PLC0415

    notes = taken_up(before.enterprises, after.enterprises, before.keys, after.keys)
    try:
        with closing(after.spool()) as spool:
            write(spool, *notes)
    except SpoolError as error:
        log("spool.unavailable", error=str(error))


def open_door(host: str, port: int) -> socket.socket:
    """Bind and listen; raises ConfigError when the address cannot be used."""
    from gateway.errors import ConfigError  # noqa: PLC0415

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # IPPROTO_TCP explicitly: the event loop sets TCP_NODELAY on such sockets only, and without it every answer
    # waits 40 ms for the caller's delayed acknowledgement
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((host, port))
        door.listen(2048)
    except OSError as error:
        door.close()
        raise ConfigError(
            f"cannot listen: {error.strerror}",
            where=f"accept.host {host}, accept.port {port}",
            fix="choose a free port, or stop the program that has it",
        ) from error
    door.setblocking(False)
    return door
