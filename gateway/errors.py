"""Every error the gateway raises on purpose: what went wrong, where, and how to fix it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from gateway.printable import escaped

if TYPE_CHECKING:
    from gateway.model import Fault

FAULTS_SHOWN: Final = 200
"""Most faults reported for one document; the number of further ones is reported after them."""
FAULTS_COUNTED: Final = 500
"""Most faults counted in one document, so that the number of those not shown can be reported."""


class GatewayError(Exception):
    """Base of all errors raised on purpose; `str()` is one sentence that an operator can act on."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        """Keep the three parts apart, so that a screen can lay them out and a log can name them."""
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        """Join the parts that are there: `what (where). Fix: fix`."""
        text = f"{self.what} ({self.where})" if self.where else self.what
        return f"{text}. Fix: {self.fix}" if self.fix else text


class ConfigError(GatewayError):
    """The configuration, or a file that it names, cannot be used. The command line exits with 2."""


class RulesError(GatewayError):
    """A schema or a mapping table cannot be loaded."""


class EnvelopeError(GatewayError):
    """Bytes that should be a DxpMsg, DxpMsgSv or DxpRep are not (docs/spec/dxp.md)."""


class TooExpensive(GatewayError):  # noqa: N818 (a verdict on the input, not an error of ours)
    """Checking one input took more time or memory than `[judges]` of the configuration allows."""


class DeliveryError(GatewayError):
    """One attempt to hand an entry to a destination failed; `temporary` says whether another attempt may help."""

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        fix: str = "",
        temporary: bool = True,
        retry_after_s: float = 0.0,
    ) -> None:
        """Count unknown errors as temporary: attempts are bounded, so the worst case is a dead letter.

        `what` and `where` may hold text of the peer; they are escaped. `retry_after_s`: how long the other side
        asks us to wait; 0: it did not say.
        """
        super().__init__(escaped(what), where=escaped(where), fix=fix)
        self.temporary = temporary
        self.retry_after_s = retry_after_s


class LeaseEndedError(DeliveryError):
    """Nothing was sent: the claim has ended, or would end before the confirmation. Not counted as a failed attempt."""


class ReceiverGoneError(DeliveryError):
    """The other side wants no further requests: nothing is sent until an operator here resumes it."""


class Refused(GatewayError):  # noqa: N818 (a verdict on the input, not an error of ours)
    """The input is not acceptable; carries every fault found and the stable problem type (docs/problems.md)."""

    def __init__(self, problem: str, faults: "Sequence[Fault]") -> None:
        """`problem` is a key of `gateway.problems.PROBLEMS`, for instance `invalid-message`."""
        super().__init__(faults[0].message if faults else problem)
        self.problem = problem
        self.faults = tuple(faults)
