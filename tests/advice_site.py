"""Sites whose operator has rules of his own for advice, and enterprises that block on some of it."""

from pathlib import Path

from gateway.config.site import Site
from tests.advice_rules import write_rules


def advise_at(site: Site, *rules: str) -> Path:
    """Give a site a folder of own rules for advice; returns it."""
    text = site.config.read_text("utf-8")
    assert '# advice_dir = "advice"' in text
    site.config.write_text(text.replace("# advice_dir", "advice_dir"), "utf-8")
    return write_rules(site.folder / "advice", *rules)


def block_at(site: Site, owner: str, entries: str) -> None:
    """Have an enterprise block on advice; `entries` is TOML."""
    file = site.enterprises / f"{owner}.toml"
    text = file.read_text("utf-8")
    kept = [line for line in text.splitlines() if not line.startswith("block_on")]
    at = kept.index("disabled = false")
    draft = file.with_suffix(".draft")
    draft.write_text("\n".join([*kept[:at], f"block_on = {entries}", *kept[at:], ""]), "utf-8")
    draft.rename(file)
