"""Of an answer for several each owner is shown its own, whole, and nothing else, whatever the answer is and however it is written."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gateway.receipts.opened import open_collected, part_of
from gateway.xml.envelope import DXP
from tests.documents import CEB
from tests.shipped_rules import shipped

CATALOGUE = shipped().catalogue
KINDS = ("DxpRep", "CEB998Message", *(kind.name for kind in CATALOGUE.receipts()))
OWNERS = ("ann", "bob", "eve")
MARK = re.compile(r"OF-\w+-\d+")
OUTSIDE = "OUTSIDE"
"""Stands wherever something may stand that is in no body."""


@dataclass(frozen=True)
class Shared:
    """A document, and what its bodies are, in order."""

    document: bytes
    owners: tuple[str, ...]
    marks: tuple[str, ...]
    bodies: tuple[bytes, ...]


@st.composite
def shared(draw: st.DrawFn) -> Shared:
    kind = draw(st.sampled_from(KINDS))
    encoding, mark = draw(
        st.sampled_from([("utf-8", ""), ("utf-8", "\ufeff"), ("gb18030", ""), ("GBK", ""), ("gb2312", "")])
    )
    prefix = draw(st.sampled_from(["", "ceb:", "Response:", "甲:"]))
    owners = tuple(draw(st.lists(st.sampled_from(OWNERS), min_size=1, max_size=6)))
    marks = tuple(f"OF-{owner}-{number}" for number, owner in enumerate(owners))
    bodies = [_body(draw, kind, prefix, said) for said in marks]
    frame = _frame(draw, kind, prefix)
    content = frame() + "".join(body + frame() for body in bodies)
    space = DXP if kind == "DxpRep" else CEB
    declared = f' xmlns:{prefix[:-1]}="{space}"' if prefix else f' xmlns="{space}"'
    odd = draw(
        st.sampled_from(
            ["", f" note='{OUTSIDE}>'", f'\n{prefix}x = "{OUTSIDE}"', f" guid='1' 乙='\"{OUTSIDE}'"]
        )
    )
    prolog = draw(st.sampled_from(["", "\n", f"<!-- <{kind}>{OUTSIDE} -->\r\n", f"<?a {OUTSIDE}?>"]))
    text = (
        f'{mark}<?xml version="1.0" encoding="{encoding}"?>{prolog}<{prefix}{kind}{declared}{odd}>'
        f"{content}</{prefix}{kind} >{draw(st.sampled_from(['', f'<!-- {OUTSIDE} -->']))}"
    )
    return Shared(text.encode(encoding), owners, marks, tuple(body.encode(encoding) for body in bodies))


def _body(draw: st.DrawFn, kind: str, prefix: str, said: str) -> str:
    """A body that says the mark of its owner in a field, and may say it in other places too."""
    own, name = prefix, "Response"
    if kind != "DxpRep":
        known = CATALOGUE.by_name(kind)
        name = draw(st.sampled_from([known.body if known else "NewReturn", "Response", "Strange"]))
    strange = draw(st.sampled_from(["", "", "", "q:"]))
    if strange:
        own, name = strange, f'{name} xmlns:q="urn:q"'
    elif draw(st.booleans()):
        name = f'{name} id="{said}>"'
    inside = draw(
        st.sampled_from(
            ["", f"<!-- </{own}{name}>{said} -->", f"<{own}oriBizMessage><![CDATA[<a>{said}</a>]]></{own}oriBizMessage>",
             f"<?p {said}?>", "汉字&lt;&#x6c49;", f"<{own}Signature>{said}</{own}Signature>"]
        )
    )  # fmt: skip
    end = name.partition(" ")[0]
    return f"<{own}{name}><{own}copNo>{said}</{own}copNo>{inside}</{own}{end}>"


def _frame(draw: st.DrawFn, kind: str, prefix: str) -> Callable[[], str]:
    """What may stand before, between and behind bodies, drawn each time."""
    names = (
        ("RecevierId", "AdNodeId", "Signature")
        if kind == "DxpRep"
        else ("BaseTransfer", "BaseSubscribe", "Signature")
    )

    def between() -> str:
        name = draw(st.sampled_from(names))
        return draw(
            st.sampled_from(
                ["", "", "\r\n\t", f" {OUTSIDE}汉字 ", f"<!-- <Response>{OUTSIDE}</Response> -->", f"<?p {OUTSIDE}?>",
                 f"<![CDATA[<x>{OUTSIDE}]]>", f"<{prefix}{name} a='{OUTSIDE}'>{OUTSIDE}</{prefix}{name}>",
                 f"<z:{name} xmlns:z='urn:z'>{OUTSIDE}</z:{name}>"]
            )
        )  # fmt: skip

    return between


@given(shared())
def test_each_owner_is_shown_its_own_bodies_whole_and_nothing_else(made: Shared) -> None:
    opened = open_collected(made.document, CATALOGUE)

    assert [MARK.findall(str(one.fields))[:1] for one in opened.answers] == [[mark] for mark in made.marks]
    for owner in dict.fromkeys(made.owners):
        keep = [place for place, one in enumerate(made.owners) if one == owner]
        part = part_of(opened, keep)
        if len(keep) == len(made.owners):
            assert part == made.document
            continue
        text = part.decode("gb18030" if b"gb" in part[:60].lower() else "utf-8")
        assert set(MARK.findall(text)) == {made.marks[place] for place in keep}
        assert OUTSIDE not in text
        assert all(made.bodies[place] in part for place in keep)
        again = open_collected(part, CATALOGUE)
        assert [one.digest for one in again.answers] == [opened.answers[place].digest for place in keep]
