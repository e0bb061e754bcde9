"""The journal and the outbox: what must outlive the process."""

from gateway.store.errors import StoreError
from gateway.store.limits import Backlog, Limits
from gateway.store.store import Store

__all__ = ["Backlog", "Limits", "Store", "StoreError"]
