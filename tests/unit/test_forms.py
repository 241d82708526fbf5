"""Translating at the door: small sources at once, large ones beside the loop, in order; defects are handed on."""

import asyncio
import json

from gateway.config import Limits
from gateway.doors.forms import AT_ONCE_BYTES, Form, Made, Translator
from gateway.mapping.translate import Translated
from gateway.pipeline import Refusal
from tests.unit.mapping_examples import example, mappings

FORM = Form(mapping=mappings()["payments"], charset="")


def large(count: int) -> bytes:
    source = json.loads(example("payments"))
    source["payments"] *= count
    return json.dumps(source).encode()


def test_small_source_is_translated_before_the_call_returns() -> None:
    async def scene() -> list[Made]:
        told: list[Made] = []
        Translator(Limits()).translate(FORM, example("payments"), told.append)
        return told

    (made,) = asyncio.run(scene())
    assert isinstance(made, Translated)


def test_loop_goes_on_while_a_large_source_is_translated() -> None:
    async def scene() -> list[str]:
        loop, seen = asyncio.get_running_loop(), list[str]()
        done = asyncio.Event()

        def told(made: Made) -> None:
            seen.append(type(made).__name__)
            done.set()

        source = large(100)
        assert len(source) > AT_ONCE_BYTES
        Translator(Limits()).translate(FORM, source, told)
        loop.call_soon(seen.append, "another request")
        await done.wait()
        return seen

    assert asyncio.run(scene()) == ["another request", "Translated"]


def test_large_sources_are_told_in_the_order_they_came() -> None:
    async def scene() -> list[str]:
        seen: list[str] = []
        done = asyncio.Event()
        translator = Translator(Limits())
        kinds = [large(100), b"[" * (AT_ONCE_BYTES + 1), large(90)]

        def told(made: Made) -> None:
            assert isinstance(made, Translated | Refusal)
            seen.append(made.problem if isinstance(made, Refusal) else str(len(made.writing.portion.items)))
            if len(seen) == len(kinds):
                done.set()

        for source in kinds:
            translator.translate(FORM, source, told)
        await done.wait()
        return seen

    assert asyncio.run(scene()) == ["100", "not-json", "90"]


def test_defect_in_the_thread_is_told_not_lost() -> None:
    async def scene() -> Made:
        told: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
        Translator(None).translate(FORM, large(100), told.set_result)  # type: ignore[arg-type]  # the defect
        return await told

    assert isinstance(asyncio.run(scene()), AttributeError)
