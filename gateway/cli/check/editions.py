"""The probes of the editions: what is in force, what is to come, and where an operator's files judge otherwise than ours."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from gateway.cli.check.edition_differences import EditionDifference, differences
from gateway.cli.check.result import Check, Grade, failed
from gateway.config.editions import EditionCalendar
from gateway.config.gateway_toml import Config
from gateway.errors import RulesError
from gateway.model import Enterprise, EnterpriseId
from gateway.rules.loading import RULES, Rules, edition_names, editions_named
from gateway.rules.schemas import Schemas, View

_SHOWN: Final = 3
"""Differences of one message type that are written out."""


def probe_editions(config: Config, rules: Rules) -> Iterator[Check]:
    """Check every edition that gateway.toml names, and compare an operator's files with ours."""
    yield _in_force(config, datetime.now(UTC))
    for name in editions_named(config):
        try:
            schemas = rules.for_edition(name).schemas
            _compile(schemas)
        except RulesError as error:
            yield failed(f"edition {name}", error)
            continue
        kinds = f"{len(schemas.roots)} message types, all schemas compile"
        yield Check(name=f"edition {name}", grade=Grade.OK, detail=f"{kinds}; {rules.editions.folder(name)}")
        yield from _compared(name, schemas, rules)


def unknown_editions(config: Config, found: Mapping[EnterpriseId, Enterprise]) -> Iterator[Check]:
    """Fail for each enterprise that names an edition which is not at hand."""
    known = edition_names(config)
    for name, one in found.items():
        if one.edition and one.edition not in known:
            yield Check(
                name=f"enterprise {name}",
                grade=Grade.FAIL,
                detail=f"there is no edition {one.edition}",
                fix=f"one of: {', '.join(known)}; or take the line out",
            )


def _in_force(config: Config, now: datetime) -> Check:
    known = EditionCalendar(config.rules.edition, config.edition).at(now)
    coming = f", {known.coming} from {known.coming_from}" if known.coming else ""
    return Check(name="edition in force", grade=Grade.OK, detail=f"{known.edition}{coming}")


def _compile(schemas: Schemas) -> None:
    for root in sorted(schemas.roots):
        for view in View:
            schemas.schema_for(root, view)


def _compared(name: str, theirs: Schemas, rules: Rules) -> Iterator[Check]:
    """Compare an operator's files with ours of the same name; nothing when they are ours, or there are none."""
    shipped = RULES / "xsd" / name
    if rules.editions.folder(name).resolve() == shipped.resolve():
        return
    if not shipped.is_dir():
        detail = "there is none of this name among those shipped: nothing to compare it with"
        yield Check(name=f"edition {name}", grade=Grade.NOTE, detail=detail)
        return
    ours = Schemas.load(shipped)
    for kind in sorted(one.name for one in rules.catalogue.declarations()):
        known = [kind in schemas.roots for schemas in (ours, theirs)]
        if known == [True, True]:
            found = list(differences(ours, theirs, kind))
        elif known == [False, False]:
            continue
        else:
            found = [EditionDifference(message_type=kind, what="every message", theirs_take=known[1])]
        if found:
            yield Check(name=f"edition {name}, {kind}", grade=Grade.NOTE, detail=_told(found))


def _told(found: list[EditionDifference]) -> str:
    shown = "; ".join(
        f"{one.what}: {'your files take it, ours refuse it' if one.theirs_take else 'your files refuse it, ours take it'}"
        for one in found[:_SHOWN]
    )
    more = len(found) - _SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown
