"""A supervisor over small roles, for tests: `python -m tests.unit.supervisor_child DRAIN_S RELOAD ROLE…`.

ROLE is `patient` (ends when asked), `deaf` (does not) or `failing` (raises at once); RELOAD is `keep` (the new
configuration is unusable) or the role to run from then on; `HUNG=S` in the environment is how long a role may be silent; with `NOTICE=FILE` in the environment the same is noticed,
once, when that file is there. Everything is told as one JSON object a line.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence

from gateway.observe.log import configure_logs
from gateway.processes.stop import Stop
from gateway.processes.supervisor import Role, Supervisor


def tell(event: str, **fields: object) -> None:
    line = json.dumps({"event": event, "pid": os.getpid(), **fields}) + "\n"
    os.write(sys.stdout.fileno(), line.encode())  # one write a line: the lines of processes do not mix


def patient() -> None:
    stop = Stop().on_sigterm()
    tell("up")
    stop.pause(3600)
    tell("down")


def deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell("up")
    while True:
        signal.pause()


def failing() -> None:
    tell("up", at=time.monotonic())
    raise RuntimeError("no such host")


def modest() -> None:
    tell("up", nice=os.getpriority(os.PRIO_PROCESS, 0))
    patient()


def lively() -> None:
    stop = Stop().on_sigterm()
    tell("up")
    while not stop():
        stop.pause(0.05)
    tell("down")


def needed() -> None:
    """Is asked to end when the others have."""
    patient()


ROLES = {run.__name__: Role(name=run.__name__, run=run) for run in (patient, deaf, failing, lively)}
ROLES["needed"] = Role(name="needed", run=needed, outlives=True)
ROLES["waiting"] = Role(name="waiting", run=deaf, waits_s=3600.0)
ROLES["modest"] = Role(name="modest", run=modest, nice=3)


def main(drain_s: str, renewed: str, *names: str) -> None:
    def reload() -> Sequence[Role] | None:
        tell("reload asked")
        return None if renewed == "keep" else [ROLES[renewed]]

    def notice() -> Sequence[Role] | None:
        file = os.environ.get("NOTICE", "")
        if not file or not os.path.exists(file):  # noqa: PTH110 (it may be empty)
            return None
        os.unlink(file)  # noqa: PTH108
        return reload()

    configure_logs("debug")
    began, worked = time.monotonic(), time.process_time()
    Supervisor(
        [ROLES[name] for name in names],
        reload=reload,
        notice=notice,
        drain_s=float(drain_s),
        hung_after_s=float(os.environ.get("HUNG", "3600")),
    ).run()
    tell("end", wall_s=time.monotonic() - began, cpu_s=time.process_time() - worked)


if __name__ == "__main__":
    main(*sys.argv[1:])
