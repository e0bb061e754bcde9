"""The DSO's side of the contract: a book that judges, a client that sends and hears, the shell commands."""

from __future__ import annotations

from hil.dso.book import Book, BookVerdict, Latency
from hil.dso.client import Dso, DsoError, Tls
from hil.dso.orders import Order

__all__ = ["Book", "BookVerdict", "Dso", "DsoError", "Latency", "Order", "Tls"]
