"""The errors of this package: what cannot be signed, read or loaded, where, and how to fix it."""

from typing import Final

_SHOWN: Final = 500
"""Characters of each part: it may contain text from an unauthenticated caller."""


class SigningError(Exception):
    """Input or key material that cannot be used; `str()` is one sentence that any reader can act on."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        """Store the three parts separately, so that a screen can lay them out and a log can name them."""
        super().__init__(what[:_SHOWN])
        self.what = what[:_SHOWN]
        self.where = where[:_SHOWN]
        self.fix = fix[:_SHOWN]

    def __str__(self) -> str:
        """Join the parts that are not empty: `what (where). Fix: fix`."""
        text = f"{self.what} ({self.where})" if self.where else self.what
        return f"{text}. Fix: {self.fix}" if self.fix else text


class KeyUnavailable(SigningError):  # noqa: N818 (a state of the key, no mistake in what was to be signed)
    """The key cannot sign now; the document to be signed is not at fault and must not be rejected for it."""

    def __init__(self, what: str, *, where: str = "", fix: str = "", retry_after_s: float = 1.0) -> None:
        """`retry_after_s`: seconds after which another attempt may succeed."""
        super().__init__(what, where=where, fix=fix)
        self.retry_after_s = retry_after_s


class WrongPin(KeyUnavailable):
    """The device refused the PIN. It must not be tried again before an operator has acted: cards lock themselves."""
