"""What systemd is told of this service (`man 3 sd_notify`): that it is ready, that it goes on, that it ends."""

import os
import socket


def sd_notify(state: str) -> None:
    """Send one state, `READY=1` for instance; nothing happens where no systemd waits for it, or it is gone."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.setblocking(False)
        try:
            line.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            return  # it can only miss a sign of life, and then does what its unit says
