"""What schemathesis cannot know from the contract: what a message is, and that a long poll waits for news.

Loaded by schemathesis in a process of its own. `CONTRACT_BODIES` says which bodies it hands in: `sound` ones,
every one another message of the enterprise, or `broken` ones, from one byte changed to no XML at all.
"""

import os
import random
from typing import Any

import schemathesis
from hypothesis import strategies as st

from gateway.doors.http.operations import MESSAGE_FORMS, WAIT_AT_MOST_S
from gateway.samples.compose import TRADE, compose

COP_CODE, DXP_ID = os.environ["CONTRACT_COP_CODE"], os.environ["CONTRACT_DXP_ID"]


def _compose(kind: str, seed: int, bodies: int) -> bytes:
    return compose(kind, cop_code=COP_CODE, dxp_id=DXP_ID, rng=random.Random(seed), bodies=bodies).body


sound = st.builds(_compose, st.sampled_from(TRADE), st.integers(0, 2**64), st.integers(1, 3))


@st.composite
def _spoilt(draw: st.DrawFn) -> bytes:
    body = draw(sound)
    begin = draw(st.integers(0, len(body) - 1))
    return body[:begin] + draw(st.binary(max_size=8)) + body[begin + draw(st.integers(0, 40)) :]


broken = st.one_of(
    _spoilt(), st.binary(max_size=200), st.text(max_size=200).map(lambda text: f"<a>{text}</a>".encode())
)
for form in MESSAGE_FORMS:
    schemathesis.openapi.media_type(form, {"sound": sound, "broken": broken}[os.environ["CONTRACT_BODIES"]])

schemathesis.openapi.media_type(
    "text/csv",
    st.one_of(
        st.just(b"itemNo,gcode\nSKU-1,3924900000\n"),
        st.just(b"field,old,new,from\n"),
        st.binary(max_size=200),
    ),
)


@schemathesis.hook
def before_load_schema(_context: Any, schema: dict[str, Any]) -> None:
    """Take out what cannot be invented: the example (another test hands it in), and mappings with their sources."""
    submission = schema["paths"]["/v1/messages"]["post"]
    content = submission["requestBody"]["content"]
    submission["requestBody"]["content"] = {form: {} for form in MESSAGE_FORMS if form in content}
    submission["parameters"] = [one for one in submission["parameters"] if one["name"] != "mapping"]


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Let a long poll begin where there is something to be had: it waits for a minute otherwise."""
    query = case.query if isinstance(case.query, dict) else {}
    wait, after = str(query.get("wait", "0")), str(query.get("after", "0"))
    sound_wait = wait.isascii() and wait.isdigit() and 0 < int(wait[:20]) <= WAIT_AT_MOST_S
    if case.path == "/v1/receipts" and sound_wait and after.isascii() and after.isdigit():
        case.query = {**query, "after": 0}
