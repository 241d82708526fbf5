"""What our texts refer to is there: files, links of pages, and the places of docs/spec that the code leans on.

A reference to docs/spec is `NAME.md, PLACE, PLACE` behind that folder and ends at a bracket, quote, colon, semicolon, bar
or full stop. A place is how a heading, a numbered item or a row of a table begins, in whole words. `HEADING 4` is item 4 of
the section that begins so, `section 6` the heading that has this number. It must be one place, or one that is called just so.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("gateway", "signing", "spool", "bench", "tests", "docs", "xsd", "mappings", "requirements")
KINDS = (".py", ".md", ".toml")
SPEC = REPOSITORY / "docs" / "spec"
HISTORY = REPOSITORY / "CHANGELOG.md"

PATH = re.compile(rf"(?<![\w/.-])((?:{'|'.join(FOLDERS)})/[\w./*<>-]*\.(?:py|md|toml|xsd|txt))\b")
LINK = re.compile(r"\[[^\]\n]*\]\(([^()\s]+)\)")
GONE = re.compile(r"DESIGN(?:\.md|,? section|,? \d)|\b[Ss]pec\s+(?:#\s*)?[\w/]+\.(?:md|csv)")
BARE = re.compile(r"(?<![/\w])(?:ceb/)?(?:messages|codes|dxp|signing|ukey)\.md\b")
PLACES = re.compile(r"\bdocs/spec/(\w+)\.md((?:, [^()\[\]\"`:;|.]+(?:\.(?=\w)[^()\[\]\"`:;|.]+)*)?)")
BREAK = re.compile(r"[ \t]*\n[ \t]*(?:# ?)?[ \t]*")
EMPHASIS = re.compile(r"[`*]")


@cache
def texts() -> dict[str, str]:
    """Read every text of ours but the history, by its path from the top."""
    below = (file for folder in FOLDERS for file in (REPOSITORY / folder).rglob("*"))
    files = (file for file in (*REPOSITORY.iterdir(), *below) if file.suffix in KINDS and file.is_file())
    return {
        file.relative_to(REPOSITORY).as_posix(): file.read_text(encoding="utf-8")
        for file in files
        if file != HISTORY
    }


def found(pattern: re.Pattern[str], *, kinds: tuple[str, ...] = KINDS) -> Iterator[tuple[str, re.Match[str]]]:
    for name, text in texts().items():
        if name.endswith(kinds):
            yield from ((name, match) for match in pattern.finditer(text))


def exists(path: str) -> bool:
    """Whether a path is there as it is, in the wheel's own folder, or as a pattern of some file."""
    path = path.removeprefix("gateway/_rules/")  # where a wheel has xsd/ and mappings/
    pattern = re.sub(r"<[^<>]*>", "*", path)
    return any(True for _ in REPOSITORY.glob(pattern)) if "*" in pattern else (REPOSITORY / path).exists()


def test_every_file_that_is_named_exists() -> None:
    named = {(name, match[1]) for name, match in found(PATH)}
    assert len(named) > 100
    assert sorted(one for one in named if not exists(one[1])) == []


def test_every_relative_link_of_a_page_resolves() -> None:
    links = [(name, match[1]) for name, match in found(LINK, kinds=(".md",))]
    relative = {(name, to.split("#")[0]) for name, to in links if not re.match(r"[a-z]+:|#", to)}
    assert len(relative) > 10
    assert [one for one in relative if not (REPOSITORY / one[0]).parent.joinpath(one[1]).exists()] == []


def test_nothing_refers_to_what_is_not_in_the_repository() -> None:
    assert [(name, match[0]) for name, match in found(GONE)] == []
    bare = ((name, match[0]) for name, match in found(BARE))
    assert [one for one in bare if not one[0].startswith("docs/spec/")] == []


@cache
def places(page: str) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Give a page's headings, what its items and rows begin with, and `HEADING 4` or `section 6`; in lower case."""
    headings, items, numbers = set[str](), set[str](), set[str]()
    heading = ""
    for line in (SPEC / f"{page}.md").read_text(encoding="utf-8").splitlines():
        text = EMPHASIS.sub("", line).casefold()
        if match := re.match(r"#+ (?:(\d+)\. )?(.+)", text):
            heading = match[2]
            headings.add(heading)
            numbers |= {f"section {match[1]}"} if match[1] else set()
        elif match := re.match(r"(\d+)\. ([^:]+)", text):
            numbers.add(f"{heading} {match[1]}")
            items.add(match[2])
        elif match := re.match(r"\| ([^|]+?) \|", text):
            items.add(match[1])
    return frozenset(headings), frozenset(items), frozenset(numbers)


def begun(words: str, names: frozenset[str]) -> list[str]:
    """Give what is called so or, when nothing is, what begins with these whole words."""
    if words in names:
        return [words]
    return [one for one in names if re.match(rf"{re.escape(words)}(?!\w)", one)]


def resolve(page: str, place: str) -> str:
    """Say what is wrong with a reference to a place of a page; nothing when it resolves."""
    headings, items, numbers = places(page)
    wanted = place.casefold()
    candidates = begun(wanted, headings | items)
    if not candidates and (match := re.fullmatch(r"(.+) (\d+)", wanted)):
        sections = begun(match[1], headings | {"section"})
        candidates = [name for one in sections for name in begun(f"{one} {match[2]}", numbers)]
    return "" if len(candidates) == 1 else f"may be any of {candidates}" if candidates else "no such place"


def references() -> Iterator[tuple[str, str, str]]:
    """Give every reference to a page of docs/spec: where it stands, the page, and one place or none."""
    for name, text in texts().items():
        for paragraph in re.split(r"\n[ \t#]*\n", text):
            for match in PLACES.finditer(BREAK.sub(" ", paragraph)):
                for place in match[2].removeprefix(", ").split(", "):
                    yield name, match[1], place.strip()


def test_every_reference_to_the_facts_of_the_formats_resolves() -> None:
    given = sorted(one for one in set(references()) if one[2])
    assert len(given) > 100
    wrong = [(*one, resolve(one[1], one[2])) for one in given if (SPEC / f"{one[1]}.md").is_file()]
    assert [one for one in wrong if one[3]] == []


@pytest.mark.parametrize(
    ("place", "verdict"),
    [
        ("Correlating a receipt", True),
        ("correlating 4", True),
        ("Correlating 99", False),
        ("Corr", False),
        ("BaseTransfer", True),
        ("621", True),
        ("Nowhere", False),
    ],
)
def test_a_place_is_how_a_heading_or_an_item_begins(place: str, verdict: bool) -> None:
    assert (resolve("messages", place) == "") is verdict
