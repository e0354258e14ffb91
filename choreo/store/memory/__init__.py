"""A store in memory: the same promises as a database's, for one process's life.

It needs no library, and is what tests run on. What a part of the books adds to an end (the outbox,
numbered streams, the parking lot) is a ``Part`` of *books.py*: it may refuse the end, and writes
its share when everything else is written.
"""

from choreo.store.memory.store import MemoryStore
from choreo.store.memory.transaction import MemoryTransaction

__all__ = ["MemoryStore", "MemoryTransaction"]
