"""Notify systemd of the state of this service (`man 3 sd_notify`): ready, alive, stopping."""

import os
import socket


def sd_notify(state: str) -> None:
    """Send one state, for example `READY=1`; does nothing if no systemd waits for it, or if systemd is gone."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.setblocking(False)
        try:
            line.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            return  # systemd only misses one notification, and then acts according to its unit
