"""A partitioned log broker inside the process: the embedded default, and the model for tests."""

from choreo_memory.broker import MemoryBroker
from choreo_memory.log import forget

__all__ = ["MemoryBroker", "forget"]
