"""What can go wrong with the store, in words for the person who has to act."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot do what was asked; `hint` says what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.hint = hint


class StoreLocked(StoreError):
    """Another process has this state directory open."""


class StoreTooNew(StoreError):
    """The store was written by a newer version."""


class StoreMissing(StoreError):
    """There is no store in this directory."""


class StoreUnavailable(StoreError):
    """The disk or the directory does not let the store work now: full, read-only, failing, no permission."""


class StoreDamaged(StoreError):
    """The file's content is broken. The next `Store.open` sets it aside and makes a new one."""


class StoreOverloaded(StoreError):
    """More jobs wait for the disk than are worth keeping; nothing of this one was done."""
