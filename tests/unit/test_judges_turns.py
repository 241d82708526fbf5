"""Whose case is next: shares of the judges, shares of the room, and what a flood of one leaves to others."""

from gateway.judges.turns import Turns


def turns(*, judges: int = 4, room_bytes: int = 1000, room: int = 100) -> Turns[str]:
    return Turns(judges=judges, room_bytes=room_bytes, room=room)


def taken(queue: Turns[str]) -> list[str]:
    """Give out all that may be judged now."""
    out = []
    while (turn := queue.next()) is not None:
        out.append(turn.case)
    return out


def test_tenants_take_turns_whoever_came_first() -> None:
    queue = turns(judges=1)
    for case in ("a1", "a2", "a3", "b1", "b2", "c1"):
        assert queue.enter(case[0], 1, case)
    order = []
    while (turn := queue.next()) is not None:
        order.append(turn.case)
        queue.done(turn.owner)
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_one_tenant_has_at_most_half_of_the_judges() -> None:
    queue = turns(judges=4)
    for number in range(9):
        queue.enter("flood", 1, f"f{number}")
    assert taken(queue) == ["f0", "f1"]
    queue.enter("other", 1, "o0")
    queue.enter("third", 1, "t0")
    queue.enter("fourth", 1, "x0")
    assert taken(queue) == ["o0", "t0"]  # and then all judges are busy
    queue.done("flood")
    assert taken(queue) == ["x0"]  # before the flood's next: it was its turn


def test_one_judge_is_everybodys() -> None:
    queue = turns(judges=1)
    queue.enter("a", 1, "a1")
    assert taken(queue) == ["a1"]


def test_who_fills_the_room_leaves_some_for_others() -> None:
    queue = turns(judges=1, room_bytes=1000)
    taken_in = {owner: sum(queue.enter(owner, 10, "") for _ in range(200)) for owner in ("a", "b", "c")}
    assert taken_in == {"a": 50, "b": 25, "c": 13}
    assert queue.enter("d", 10, "")


def test_number_of_those_that_wait_is_bounded_like_their_bytes() -> None:
    queue = turns(room=8)
    assert sum(queue.enter("a", 0, "") for _ in range(20)) == 4
    assert sum(queue.enter("b", 0, "") for _ in range(20)) == 2


def test_room_is_free_again_once_a_turn_has_come() -> None:
    queue = turns(judges=2, room_bytes=100)
    assert queue.enter("a", 100, "large")
    assert not queue.enter("b", 1, "small")
    assert taken(queue) == ["large"]
    assert queue.enter("b", 1, "small")


def test_message_that_alone_fills_the_room_may_wait() -> None:
    assert turns(room_bytes=100).enter("a", 100, "")
