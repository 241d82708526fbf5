"""Pages and tables say what the code does: events above all, since operators search for their names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import problems
from gateway.observe.log import EVENTS, redact
from gateway.problems import PROBLEMS
from tests.generated import REPOSITORY, pages, with_diagram


@pytest.mark.parametrize("file", pages(), ids=lambda file: file.name)
def test_page_is_what_the_code_says(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == pages()[file], f"{file.name} is out of date: run `make docs`"


@pytest.mark.parametrize("page", ["no diagram", "```mermaid\na\n```\n```mermaid\nb\n```\n"])
def test_page_without_exactly_one_diagram_is_not_guessed_at(page: str) -> None:
    with pytest.raises(ValueError, match="must have one"):
        with_diagram(page)


def test_problems_in_the_module_text_are_those_of_the_table() -> None:
    told = re.findall(r"^\| `([\w-]+)` \| (\d+) \|", problems.__doc__ or "", re.MULTILINE)
    assert told == [(code, str(one.status.value)) for code, one in PROBLEMS.items()]


def test_every_event_logged_is_in_the_table_and_every_event_in_the_table_is_logged() -> None:
    logged = {name for call in _calls() for name in call.events()}
    assert logged == EVENTS.keys()


def test_no_event_is_logged_with_a_field_that_redaction_takes_out() -> None:
    fields = {(call.place, name) for call in _calls() for name in call.fields()}
    assert len(fields) > 50
    taken_out = {(place, name) for place, name in fields if redact(None, "", {name: "x"})[name] != "x"}
    assert taken_out == set()


def test_no_event_is_logged_with_a_field_of_a_body_or_a_person() -> None:
    fields = {(call.place, name) for call in _calls() for name in call.fields()}
    forbidden = {"body", "content", "raw", "data", "token", "key", "text", "name"}
    assert {(place, name) for place, name in fields if name in forbidden} == set()


class _Call:
    """One `log(…)` or `defect(…)` in the source."""

    def __init__(self, file: Path, module: ast.Module, node: ast.Call) -> None:
        self.place = f"{file.relative_to(REPOSITORY)}:{node.lineno}"
        self._module = module
        self._node = node

    def events(self) -> Iterator[str]:
        """Give the names it may log; fails when one cannot be read off the source."""
        name = self._node.args[0]
        for one in (name.body, name.orelse) if isinstance(name, ast.IfExp) else (name,):
            assert isinstance(one, ast.Constant), f"{self.place}: write the event's name out"
            assert isinstance(one.value, str)
            yield one.value

    def fields(self) -> Iterator[str]:
        """Give the names of its fields, also those that come by `**`."""
        for keyword in self._node.keywords:
            if keyword.arg is not None:
                yield keyword.arg
            else:
                found = list(self._spread(keyword.value))
                assert found, f"{self.place}: write the fields where they can be read"
                yield from found

    def _spread(self, value: ast.expr) -> Iterator[str]:
        """Give the keys of the dict displays that a variable is set to, or that a function here returns."""
        target = value.func if isinstance(value, ast.Call) else value
        name = target.attr if isinstance(target, ast.Attribute) else ast.unparse(target)
        for node in ast.walk(self._module):
            match node:
                case ast.Assign(targets=[ast.Name(id=found)], value=ast.Dict() as shown) if found == name:
                    yield from _keys(shown)
                case ast.FunctionDef(name=found) if found == name:
                    for inner in ast.walk(node):
                        if isinstance(inner, ast.Return) and isinstance(inner.value, ast.Dict):
                            yield from _keys(inner.value)


def _keys(shown: ast.Dict) -> Iterator[str]:
    for key in shown.keys:
        assert isinstance(key, ast.Constant)
        assert isinstance(key.value, str)
        yield key.value


def _calls() -> Iterator[_Call]:
    for file in sorted((REPOSITORY / "gateway").rglob("*.py")):
        module = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(module):
            match node:
                case ast.Call(func=ast.Name(id="log"), args=[ast.Name(id="event")]):
                    assert file.name == "defects.py"  # whose callers write the event and the fields out
                case ast.Call(func=ast.Name(id="log" | "defect")):
                    yield _Call(file, module, node)
