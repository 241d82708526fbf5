"""What becomes of a register that was read: put into the spool, or taken back, with a line in the journal."""

import json
from collections.abc import Mapping

from gateway.goods.cache import facts_of
from gateway.goods.columns import RegisterName
from gateway.goods.register import Register
from spool.entry import Note
from spool.registers import NewRegister
from spool.store import SpoolRegisters


def hand_in(
    spool: SpoolRegisters,
    owner: str,
    name: RegisterName,
    register: Register,
    *,
    body: bytes,
    form: str,
    by: str = "",
) -> int:
    """Put a register in the place of the earlier one; returns its version. Raises SpoolError.

    `body`: as handed in, with its media type `form`; `by`: the operator who does it, empty for the enterprise itself.
    """
    said = {"enterprise": owner, "register": name, "rows": register.rows, "sha256": register.sha256}
    new = NewRegister(owner=owner, name=name, form=form, body=body, facts=facts_of(register))
    return spool.replace_register(new, notes=[_note("goods.replaced", said, by)])


def take_back(spool: SpoolRegisters, owner: str, name: RegisterName, *, by: str = "") -> bool:
    """Take a register back; False: there was none. Raises SpoolError. `by`: as in `hand_in`."""
    said = {"enterprise": owner, "register": name}
    return spool.drop_register(owner, name, notes=[_note("goods.dropped", said, by)])


def _note(event: str, said: Mapping[str, object], by: str) -> Note:
    return Note(event=event, detail=json.dumps({**said, "by": by} if by else said))
