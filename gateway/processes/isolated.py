"""Work on secrets in a separate process: the secrets it reads end with it, and only public facts come back.

The supervisor checks keys in this way before it starts roles, because they are forked from it and inherit its memory.
"""

import os
from collections.abc import Callable
from typing import NoReturn, TypeVar

import msgspec
from msgspec import Struct

from gateway.errors import ConfigError

T = TypeVar("T")


class _Trouble(Struct, frozen=True, kw_only=True):
    """A ConfigError, encoded for the pipe."""

    what: str
    where: str = ""
    fix: str = ""


def isolated(work: Callable[[], T], form: type[T]) -> T:
    """Call `work` in a forked process and return its result; `form` is the result's type, which JSON can represent.

    Blocks until it is done. Raises ConfigError as `work` does, and when the process dies.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _work(work, writing)
    os.close(writing)
    with open(reading, "rb") as said:  # noqa: PTH123 (a descriptor)
        told = said.read()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == _DONE:
        return msgspec.json.decode(told, type=form)
    if code == _REFUSED:
        trouble = msgspec.json.decode(told, type=_Trouble)
        raise ConfigError(trouble.what, where=trouble.where, fix=trouble.fix)
    raise ConfigError(f"the process that looks at the keys ended with {code}", fix="is there memory enough?")


_DONE, _REFUSED, _DEFECT = 0, 3, 1


def _work(work: Callable[[], object], writing: int) -> NoReturn:
    """Run in the forked process: never returns to the caller's code."""
    code, said = _DEFECT, b""
    try:
        code, said = _DONE, msgspec.json.encode(work())
    except ConfigError as error:
        code, said = (
            _REFUSED,
            msgspec.json.encode(_Trouble(what=error.what, where=error.where, fix=error.fix)),
        )
    except BaseException as error:  # noqa: BLE001 (a defect is reported, too)
        code, said = _REFUSED, msgspec.json.encode(_Trouble(what=f"{type(error).__name__}: {error}"))
    finally:
        with open(writing, "wb") as pipe:
            pipe.write(said)
        os._exit(code)
