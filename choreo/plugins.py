"""What is installed beside choreo: adapters of the rim, by the names that they register."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points


@cache
def installed(group: str) -> Mapping[str, EntryPoint]:
    """Find what is registered in the entry-point *group*, by name, once in a process's life.

    To look reads what every installed package says of itself, which takes as long as handling
    hundreds of events.
    """
    return {point.name: point for point in entry_points(group=group)}
