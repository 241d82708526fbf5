"""A node of processes that count, told what to do by lines on stdin: `python -m tests.unit.metric_files_child STATE_DIR`.

`start ROLE N` forks a process of this role that counts to N entries, each for another destination, and then waits; `kill PID`
ends it with SIGKILL; `show` says what is exported. Each is answered by one line of JSON.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from gateway.observe.metric_files import RoleMetrics, join, metric_files
from gateway.observe.role_metrics import entry_counter, set_door_in_order


def tell(told: object) -> None:
    os.write(sys.stdout.fileno(), json.dumps(told).encode() + b"\n")


def be(role: str, entries: int) -> NoReturn:
    join(role)
    set_door_in_order(role, "folder", in_order=True)
    for number in range(entries):
        entry_counter(f"{role}-{number}").count("sent")
    tell({"pid": os.getpid()})
    signal.pause()
    os._exit(0)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    tell({"killed by": signal.Signals(-os.waitstatus_to_exitcode(status)).name})


def show() -> None:
    samples = [sample for family in RoleMetrics().collect() for sample in family.samples]
    tell(
        {
            "sent": sum(one.value for one in samples if one.labels.get("outcome") == "sent"),
            "in order": sorted(
                one.labels["enterprise"] for one in samples if one.name == "gateway_door_in_order"
            ),
        }
    )


def obey(words: list[str]) -> None:
    match words:
        case ["start", role, entries]:
            if os.fork() == 0:
                be(role, int(entries))
        case ["kill", pid]:
            kill(int(pid))
        case ["show"]:
            show()


if __name__ == "__main__":
    with metric_files(Path(sys.argv[1])):
        tell("ready")
        for line in sys.stdin:
            obey(line.split())
