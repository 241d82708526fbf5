"""A tenant that sends the worst, again and again, until it is killed: `python -m tests.security.flood ADDRESS TOKEN`.

One line of JSON on stdout for each answer: what was sent, the status, the code of the problem.
"""

import http.client
import json
import sys
import threading
from itertools import cycle, islice
from urllib.parse import urlsplit

from tests.security.worst import Input, worst

CONNECTIONS = 8


def send(host: str, port: int, token: str, inputs: list[Input], first: int) -> None:
    """Send them in turn over one connection after the other."""
    headers = {"Authorization": f"Bearer {token}"}
    for one in islice(cycle(inputs), first, None):
        connection = http.client.HTTPConnection(host, port, timeout=120)
        try:
            media = {"Content-Type": one.media_type}
            connection.request("POST", f"/v1/messages{one.query}", one.body, headers | media)
            answer = connection.getresponse()
            said = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
        line = json.dumps([one.name, answer.status, said.get("code", "")])
        print(f"{line}\n", end="", flush=True)  # in one piece: other threads write lines too


def main(address: str, token: str) -> None:
    parts = urlsplit(address)
    inputs = worst()
    threads = [
        threading.Thread(
            target=send, args=(parts.hostname or "", parts.port or 80, token, inputs, number * 2), daemon=True
        )
        for number in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
