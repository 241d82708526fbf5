"""Waits for the verdict of a judge, in an event loop."""

import asyncio

from gateway.judges.judge import JudgeVerdict
from gateway.judges.pool import JudgeQuestion, Pool


async def verdict_of(pool: Pool, case: JudgeQuestion) -> JudgeVerdict | None:
    """Have a case judged by a process that may be killed; None: too much of this caller waits already.

    Raises what went wrong when there is no verdict.
    """
    done: asyncio.Future[JudgeVerdict | Exception] = asyncio.get_running_loop().create_future()

    def told(verdict: JudgeVerdict | Exception) -> None:
        if not done.done():  # the caller may have gone
            done.set_result(verdict)

    if not pool.judge(case, told):
        return None
    verdict = await done
    if isinstance(verdict, Exception):
        raise verdict
    return verdict
