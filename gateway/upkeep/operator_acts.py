"""Changes that people make to enterprises and keys, as journal lines: who, what, when, and never a secret."""

import getpass
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields

import msgspec
from msgspec import Struct

from gateway.keys.public_keyring import PublicKeyring
from gateway.model import Enterprise, EnterpriseId
from spool.entry import Note
from spool.store import Spool

UID = "acts"
"""Uid of all these lines in the journal."""


class Act(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the journal records of one change, beside its event and its time."""

    by: str
    """Login name; `root for ann` when ann used sudo."""
    enterprise: str = ""
    key: str = ""
    changed: tuple[str, ...] = ()
    """Names of settings, or digests and serial numbers, which are public."""


def who() -> str:
    """Return the user who runs this process, as far as the system knows."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        user = str(os.getuid())
    sudo = os.environ.get("SUDO_USER", "")
    return f"{user} for {sudo}" if sudo and sudo != user else user


def note(event: str, act: Act) -> Note:
    """Make a journal line of a change."""
    return Note(event=event, uid=UID, detail=msgspec.json.encode(act).decode())


def write(spool: Spool, *notes: Note) -> None:
    """Write lines to the journal, in one commit. Raises SpoolError."""
    if notes:
        spool.put((), notes=notes)


def taken_up(
    old: Mapping[EnterpriseId, Enterprise],
    new: Mapping[EnterpriseId, Enterprise],
    old_keys: PublicKeyring,
    new_keys: PublicKeyring,
) -> Iterator[Note]:
    """Yield what a reload changes: edits of the files, which do not say who made them."""
    by = "the files, at a reload"
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            event = "enterprise.added" if before is None else "enterprise.removed"
            yield note(event, Act(by=by, enterprise=name))
        elif changed := _changed(before, after):
            yield note("enterprise.changed", Act(by=by, enterprise=name, changed=changed))
    for key_name in sorted(old_keys.keys.keys() | new_keys.keys.keys()):
        if old_keys.keys.get(key_name) != new_keys.keys.get(key_name):
            key = new_keys.keys.get(key_name)
            serials = () if key is None else tuple(one.serial for one in key.members)
            event = (
                "key.removed" if key is None else "key.changed" if key_name in old_keys.keys else "key.added"
            )
            yield note(event, Act(by=by, key=key_name, changed=serials))


def _changed(before: Enterprise, after: Enterprise) -> tuple[str, ...]:
    return tuple(one.name for one in fields(after) if getattr(before, one.name) != getattr(after, one.name))
