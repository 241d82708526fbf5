"""Advice on messages that were accepted before: computed when somebody looks, never stored."""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.goods.cache import RegisterCache
from gateway.goods.register import OwnTables
from gateway.judges.judge import Advised, AdviseOn, Judge, JudgeVerdict
from gateway.judges.pool import Pool
from gateway.model import Advice, EnterpriseId
from gateway.observe.defects import defect
from spool.entry import MessageView
from spool.store import Spool

OnAdvised = Callable[[tuple[Advice, ...] | None], None]
"""Called with the advice; None: it cannot be told, because its owner has much else judged now, or it takes too much."""
_KEPT: Final = 64
"""Verdicts of judges that are kept: rules and accepted bytes stay the same as long as this process lives."""
_Named = tuple[str, frozenset[int] | None, tuple[int, int]]
"""Id of a message, numbers of declarations, versions of what its owner has registered."""


class Advising:
    """Gives advice in this process where that takes milliseconds, else by a judge; for one event loop.

    The latest verdicts of judges are kept, so that asking for the state of a large message again and again costs little.
    """

    def __init__(self, judge: Judge, pool: Pool, spool: Spool, registers: RegisterCache) -> None:
        self._judge = judge
        self._pool = pool
        self._spool = spool
        self._registers = registers
        self._kept: dict[_Named, tuple[Advice, ...]] = {}

    def ask(self, view: MessageView, on_done: OnAdvised, numbers: frozenset[int] | None = None) -> None:
        """Give advice on a message; `on_done` gets it, now or later, once. `numbers`: as in `AdviseOn`."""
        own = self._registers.of(view.owner)
        named = (view.uid, numbers, (0, 0) if own is None else own.versions)
        if named in self._kept:
            on_done(self._kept[named])
            return
        case = case_of(view, self._judge, self._spool, numbers, own)
        at_once = () if case is None else self._judge.advise_at_once(case)
        if case is None or at_once is not None:
            on_done(at_once)
            return

        def judged(verdict: JudgeVerdict | Exception) -> None:
            advice = on_advice(verdict)
            if advice is not None:
                self._kept[named] = advice
                if len(self._kept) > _KEPT:
                    del self._kept[next(iter(self._kept))]
            on_done(advice)

        if not self._pool.judge(case, judged):
            on_done(None)

    async def advice_on(
        self, view: MessageView, numbers: frozenset[int] | None = None
    ) -> tuple[Advice, ...] | None:
        """Give advice on a message, as `ask`."""
        done: asyncio.Future[tuple[Advice, ...] | None] = asyncio.get_running_loop().create_future()

        def tell(advice: tuple[Advice, ...] | None) -> None:
            if not done.done():  # whoever asked may be gone
                done.set_result(advice)

        self.ask(view, tell, numbers)
        return await done


def case_of(
    view: MessageView,
    judge: Judge,
    spool: Spool,
    numbers: frozenset[int] | None = None,
    own: OwnTables | None = None,
) -> AdviseOn | None:
    """Return what to ask about a message; None: there are no rules for it, or it has left the spool. `own`: as in `Examine`."""
    body = spool.body(view.uid) if judge.adviser.has_rules(view.kind) else None
    if body is None:
        return None
    return AdviseOn(
        body=body,
        caller=EnterpriseId(view.owner),
        message_type=view.kind,
        accepted_at=view.accepted_at,
        numbers=numbers,
        own=own,
    )


def on_advice(verdict: JudgeVerdict | Exception) -> tuple[Advice, ...] | None:
    """Return the advice of a verdict, None if there is none; a defect is logged and not raised.

    Whoever asks how a message stands gets an answer in any case.
    """
    match verdict:
        case Advised():
            return verdict.advice
        case Exception():
            defect("request.failed", verdict)
    return None
