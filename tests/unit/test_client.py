"""What the typed client adds to single requests, against a server that plays the gateway from a script."""

from contextlib import closing
from itertools import count
from typing import Any

import pytest

from gateway.client import GatewayClient, ProblemView
from gateway.errors import DeliveryError
from tests.unit.test_cli_submit import TOKEN, Asked, Say, accepted, answer, page, refused, serving


def not_yet() -> Say:
    status, document, _ = refused(409, "not-yet")
    return status, document, {"Retry-After": "1"}


def test_evidence_that_is_not_sealed_yet_is_asked_for_again() -> None:
    calls = count()

    def script(_: Asked) -> Say:
        return not_yet() if next(calls) == 0 else (200, {"version": 1}, {})

    with serving(script) as gateway, closing(GatewayClient(gateway.url, TOKEN)) as client:
        assert client.evidence("ID", redact=True) == b'{"version": 1}'
    assert [asked.path for asked in gateway.asked] == ["/v1/messages/ID/evidence?redact=true"] * 2


def test_conflict_without_retry_after_is_told_at_once() -> None:
    def script(_: Asked) -> Say:
        return refused(409, "conflicting-version")

    with serving(script) as gateway, closing(GatewayClient(gateway.url, TOKEN)) as client:
        told = client.submit(b"1")
    assert isinstance(told, ProblemView)
    assert (told.code, len(gateway.asked)) == ("conflicting-version", 1)


def test_waiting_for_retry_after_ends_with_the_patience() -> None:
    with (
        serving(lambda _: not_yet()) as gateway,
        closing(GatewayClient(gateway.url, TOKEN, patience_s=0.5)) as client,
        pytest.raises(DeliveryError, match="409"),
    ):
        client.evidence("ID")
    assert len(gateway.asked) == 1


def test_pages_go_on_behind_each_other_and_leave_the_empty_ones_out() -> None:
    told: list[Any] = [page(2, answer("a", "progress")), page(2), page(5, answer("a", "accepted")), page(5)]
    with serving(lambda _: told.pop(0)) as gateway, closing(GatewayClient(gateway.url, TOKEN)) as client:
        pages = client.pages(wait_s=0)
        assert [next(pages).cursor, next(pages).cursor] == [2, 5]
        assert list(client.pages(after=5, wait_s=0, once=True)) == []
    assert [asked.query.get("after") for asked in gateway.asked] == [None, "2", "2", "5"]


def test_pages_end_with_an_error_when_the_gateway_gives_a_problem() -> None:
    with (
        serving(lambda _: refused(401, "unauthorised")) as gateway,
        closing(GatewayClient(gateway.url, TOKEN)) as client,
        pytest.raises(DeliveryError, match="401"),
    ):
        next(client.pages())


def test_dry_run_names_no_request_and_bytes_come_as_they_are() -> None:
    def script(asked: Asked) -> Say:
        return accepted(asked, 200) if asked.method == "POST" else refused(404, "not-found")

    with serving(script) as gateway, closing(GatewayClient(gateway.url, TOKEN)) as client:
        assert not isinstance(client.dry_run(b"1"), ProblemView)
        for missing in (client.content("a/b"), client.receipt_content("7")):
            assert isinstance(missing, ProblemView)
    checked, content, receipt = gateway.asked
    assert checked.query == {"dry_run": "true"}
    assert "Idempotency-Key" not in checked.headers
    assert (content.path, receipt.path) == ("/v1/messages/a%2Fb/content", "/v1/receipts/7/content")
