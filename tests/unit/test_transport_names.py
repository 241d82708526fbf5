import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from gateway.errors import DeliveryError
from gateway.transports.names import (
    LONGEST_BYTES,
    Leftovers,
    check_file_name,
    is_whole,
    new_mark,
    temporary_name,
)

HALF_NAMES = [
    *(".a.xml", ".", "a.tmp", "a.xml.part", "a.xml.READING", "a.xml.temp"),
    *("a.xml.filepart", "a.xml.partial", "未确认.crdownload", "a.opdownload"),
    *(".a.xml.swp", "a.xml.swp", "a.xml.SWO", "a.xml~", "~$a.xml"),
]


@pytest.mark.parametrize(
    "name", ["CEB312Message_A.xml", "a", "part.xml", "海关.xml", "a~1.xml", "swp", "$~a.xml"]
)
def test_finished_files_are_whole(name: str) -> None:
    assert is_whole(name)


@pytest.mark.parametrize("name", HALF_NAMES)
def test_names_of_unfinished_files_are_not_whole(name: str) -> None:
    assert not is_whole(name)


@given(st.text(max_size=300))
def test_accepted_names_stay_in_their_folder_and_their_temporary_name_is_never_taken(name: str) -> None:
    try:
        check_file_name(name)
    except DeliveryError:
        event("refused")
        return
    assert "/" not in name
    assert is_whole(name)
    temporary = temporary_name(name, new_mark())
    assert not is_whole(temporary)
    assert len(temporary.encode("utf-8", "surrogatepass")) <= 255
    left = Leftovers()
    left.add([name, temporary])
    assert left.take(name) == [temporary]
    assert left.take(name) == []


def test_leftovers_are_found_with_and_without_a_mark() -> None:
    left = Leftovers()
    left.add([".a.xml.part", "a.xml", ".a.xml.0123abcd.part", ".b.xml.tmp", ".b.part"])
    left.add([".a.xml.part"])
    assert left.take("a.xml") == [".a.xml.part", ".a.xml.0123abcd.part"]
    assert left.take("b") == [".b.part"]
    assert left.take("b.xml") == []


@pytest.mark.parametrize(
    "name", ["", "..", "../a.xml", "/a.xml", "a\0.xml", ".a.xml", "a.part", "x" * (LONGEST_BYTES + 1)]
)
def test_name_that_cannot_be_delivered_is_final(name: str) -> None:
    with pytest.raises(DeliveryError) as error:
        check_file_name(name)
    assert not error.value.temporary
