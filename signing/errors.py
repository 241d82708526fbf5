"""The one error of this room: what cannot be signed, read or loaded, where, and how to fix it."""

from typing import Final

_SHOWN: Final = 500
"""Characters of each part: a stranger's text may stand in it."""


class SigningError(Exception):
    """Input or key material that cannot be used; `str()` is one sentence a stranger can act on."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        """Keep the three parts apart, so that a screen can lay them out and a log can name them."""
        super().__init__(what[:_SHOWN])
        self.what = what[:_SHOWN]
        self.where = where[:_SHOWN]
        self.fix = fix[:_SHOWN]

    def __str__(self) -> str:
        """Join the parts that are there: `what (where). Fix: fix`."""
        text = f"{self.what} ({self.where})" if self.where else self.what
        return f"{text}. Fix: {self.fix}" if self.fix else text


class KeyUnavailable(SigningError):  # noqa: N818 (a state of the key, no mistake in what was to be signed)
    """The key cannot sign now; this says nothing of what was to be signed, so nobody else should suffer."""

    def __init__(self, what: str, *, where: str = "", fix: str = "", retry_after_s: float = 1.0) -> None:
        """`retry_after_s`: when asking again may help."""
        super().__init__(what, where=where, fix=fix)
        self.retry_after_s = retry_after_s


class WrongPin(KeyUnavailable):
    """The device refused the PIN. Nothing may try it again before an operator has acted: cards lock themselves."""
