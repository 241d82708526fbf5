"""Quotas: how much an enterprise may hand in, by token buckets in the memory of the accepting process.

A bucket holds what one minute allows and fills evenly. An item that costs more than a whole bucket, such as a large
message, passes when the bucket is full and leaves it negative; so whatever is refused passes after the reported time.
A starting process begins with full buckets: a quota limits load, it is not used for accounting.
"""

import time
from collections.abc import Callable
from math import ceil
from typing import Final

from msgspec import Struct

from gateway.model import Enterprise, EnterpriseId, Fault, Quota
from spool.store import Spool

_MINUTE_S: Final = 60.0
_COUNT_S: Final = 1.0
"""How long a count of open entries is used."""
_DRAIN_S: Final = 15.0
"""Retry time reported for open entries: how fast they are sent is not known."""


class Cost(Struct, frozen=True, kw_only=True):
    """Cost of one message."""

    size_bytes: int
    declarations: int = 0
    messages: int = 1


class OverQuota(Struct, frozen=True, kw_only=True):
    """The message was not accepted: the enterprise has used up a quota."""

    quota: str
    """Name of the quota in `[quota]`."""
    limit: int
    wait_s: float
    """After this time the message passes, if nothing else is handed in meanwhile."""

    @property
    def retry_after(self) -> str:
        """Whole seconds, for the header Retry-After."""
        return str(max(1, ceil(self.wait_s)))

    @property
    def fault(self) -> Fault:
        """The fault to report to the caller."""
        what, what_zh = _NAMES[self.quota]
        return Fault(
            rule=f"quota_{self.quota}",
            message=f"your quota is {self.limit} {what}; nothing was taken",
            message_zh=f"超过配额：{what_zh}{self.limit}，报文未接收",
            fix=f"send the same again after {self.retry_after} s, or ask the operator for a larger quota",
            fix_zh=f"请在{self.retry_after}秒后重新发送，或联系网关运营方提高配额",
        )


_NAMES: Final = {
    "messages_per_minute": ("messages a minute", "每分钟报文数"),
    "declarations_per_minute": ("declarations a minute", "每分钟单证数"),
    "bytes_per_minute": ("bytes a minute", "每分钟字节数"),
    "open_entries": ("messages that wait to go out", "待发报文数"),
}


class _Bucket:
    """A limit per minute; the level is what is left, negative after an oversized item."""

    def __init__(self, a_minute: int, now: float) -> None:
        self.a_minute = a_minute
        self._level = float(a_minute)
        self._at = now

    def wait_s(self, cost: int, now: float) -> float:
        """Return in how many seconds there is enough; 0: now."""
        elapsed, self._at = now - self._at, now
        self._level = min(self.a_minute, self._level + elapsed * self.a_minute / _MINUTE_S)
        lacking = min(cost, self.a_minute) - self._level
        return 0.0 if lacking <= 1e-9 else lacking * _MINUTE_S / self.a_minute  # noqa: PLR2004 (of rounding)

    def take(self, cost: int) -> None:
        self._level -= cost


class _Account:
    """The buckets of one enterprise."""

    def __init__(self, quota: Quota, now: float) -> None:
        self.buckets = {
            "messages_per_minute": (_Bucket(quota.messages_per_minute, now), "messages"),
            "declarations_per_minute": (_Bucket(quota.declarations_per_minute, now), "declarations"),
            "bytes_per_minute": (_Bucket(quota.bytes_per_minute, now), "size_bytes"),
        }
        self.buckets = {name: pair for name, pair in self.buckets.items() if pair[0].a_minute}
        self.most_open = quota.open_entries
        self.open = 0
        self.counted_until = float("-inf")


class Quotas:
    """All quota accounts; only for the thread that uses the spool. Costs nothing for enterprises without a quota."""

    def __init__(self, spool: Spool, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._spool = spool
        self._clock = clock
        self._accounts: dict[EnterpriseId, _Account] = {}

    def over(self, caller: Enterprise, cost: Cost) -> OverQuota | None:
        """Say whether this would exceed a quota, charging nothing. Raises SpoolError."""
        if caller.quota is None:
            return None
        now = self._clock()
        account = self._account(caller.id, caller.quota, now)
        worst = self._open(account, caller.id, now)
        for name, (bucket, of) in account.buckets.items():
            wait_s = bucket.wait_s(getattr(cost, of), now)
            if wait_s and (worst is None or wait_s > worst.wait_s):
                worst = OverQuota(quota=name, limit=bucket.a_minute, wait_s=wait_s)
        return worst

    def spend(self, caller: Enterprise, cost: Cost) -> OverQuota | None:
        """Charge all of it, or nothing and return why. Raises SpoolError."""
        if caller.quota is None:
            return None
        over = self.over(caller, cost)
        if over is None:
            self.charge(caller, cost)
        return over

    def charge(self, caller: Enterprise, cost: Cost) -> None:
        """Charge it even beyond the quota: the work was done."""
        if caller.quota is None:
            return
        account = self._account(caller.id, caller.quota, self._clock())
        for bucket, of in account.buckets.values():
            bucket.take(getattr(cost, of))
        if cost.declarations:  # the message is about to be in the spool
            account.open += cost.messages

    def _account(self, name: EnterpriseId, quota: Quota, now: float) -> _Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = _Account(quota, now)
        return account

    def _open(self, account: _Account, name: EnterpriseId, now: float) -> OverQuota | None:
        if not account.most_open:
            return None
        if now >= account.counted_until:
            account.open = self._spool.waiting(name, at_most=account.most_open)
            account.counted_until = now + _COUNT_S
        if account.open < account.most_open:
            return None
        return OverQuota(quota="open_entries", limit=account.most_open, wait_s=_DRAIN_S)
