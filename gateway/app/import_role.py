"""Builds the role that makes imports, in its own process."""

from gateway.config.gateway_toml import Config
from gateway.goods.cache import RegisterCache
from gateway.imports.job import ImportTools
from gateway.imports.role import ImportRole
from gateway.imports.step_commit import StepCommit
from gateway.judges.judge import Examine, Judge, on_message
from gateway.keys.backlog import Backlogs
from gateway.mapping.sources.table import SourceLimits
from gateway.model import Enterprise
from gateway.submission.intake import ExaminedSubmission, Intake
from gateway.submission.mail_limit import Full
from gateway.submission.pipeline import Refusal
from gateway.submission.quotas import Quotas
from gateway.upkeep.watermarks import Gauge
from spool.store import Spool


def import_role(*, config: Config, judge: Judge, spool: Spool, claimant: str) -> ImportRole:
    """Build the role. Raises SpoolError."""
    settings = config.accept.imports
    commit = StepCommit(spool)
    registers = RegisterCache(spool, size_bytes=config.goods.memory_bytes)
    full = Full(spool, judge.local_receivers)

    def judged(body: bytes, caller: Enterprise) -> ExaminedSubmission | Refusal:
        """Judge as any door does; this process may be killed, so no other has to be asked."""
        some, own = full.to(caller.id), registers.of(caller.id)
        ready = judge.at_once(body, caller, some, own)
        return ready or on_message(judge(Examine(body=body, caller=caller.id, full=some, own=own)))

    return ImportRole(
        spool=spool,
        tools=ImportTools(
            spool=spool,
            intake=Intake(
                config=config,
                spool=spool,
                commit=commit,
                queues=Backlogs(config, spool),
                quotas=Quotas(spool),
                mappings=judge.mappings,
            ),
            commit=commit,
            judge=judged,
            own=registers.of,
            mappings=judge.mappings,
            limits=SourceLimits(
                size_bytes=settings.size_bytes, document_bytes=config.accept.limits.size_bytes
            ),
            folder=config.node.state_dir,
        ),
        enterprises=judge.enterprises,
        gauge=Gauge(config.watermarks, spool=spool, state_dir=config.node.state_dir),
        claimant=claimant,
        at_a_time=settings.at_a_time,
    )
