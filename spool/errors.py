"""The exceptions of the spool."""


class SpoolError(Exception):
    """The spool cannot do what was requested; `temporary`: waiting may help (a full disk)."""

    def __init__(self, what: str, *, where: str = "", fix: str = "", temporary: bool = False) -> None:
        """Store the parts separately, for display."""
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix
        self.temporary = temporary

    def __str__(self) -> str:
        """One sentence: what, where, how to fix."""
        text = f"{self.what} ({self.where})" if self.where else self.what
        return f"{text}. Fix: {self.fix}" if self.fix else text


class LifecycleError(SpoolError):
    """An event that the state of an entry does not allow."""
