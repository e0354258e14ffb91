"""Whether a cluster still answers, by what is fetched from it: tells when that ends and begins.

A stream that is being read is answered at least twice a second, with records or with none.  One
that is not, for several times as long, may have records that nobody can fetch; and while there is
no connection to any node at all, no stream is answered.  While the group deals out its partitions
nothing is read, and nothing is held either; what is read of none, for want of room, tells nothing.
"""

from collections.abc import Mapping
from math import inf

from choreo.delivery.contact import Contact

SILENT = 3.0
"""Seconds without an answer after which a stream is not heard; answers come after half a second."""
LONGEST = 1.0
"""Seconds between two ticks of which no more is held against the cluster: this process was busy, or
stood still, and the answers may lie unread."""


class Hearing:
    """Asked at every tick; all times are seconds of one monotonic clock."""

    def __init__(self, contact: Contact) -> None:
        self._contact = contact
        self._signs: dict[str, tuple[object, float]] = {}
        self._ticked = inf
        self._unanswered: set[str] = set()
        """Streams without an answer since they are read, or since contact was lost."""

    def hear(self, signs: Mapping[str, object], *, severed: bool, now: float) -> None:
        """Note a sign for each stream that is being read, which changes with every answer to it."""
        self._contact.begun()
        slept, self._ticked = max(0.0, now - self._ticked - LONGEST), now
        self._signs = {name: (sign, at + slept) for name, (sign, at) in self._signs.items()}
        for stream, sign in signs.items():
            known = self._signs.get(stream)
            if known is not None and known[0] == sign:
                continue
            if known is None:
                self._unanswered.add(stream)
            else:
                self._unanswered.discard(stream)
            self._signs[stream] = (sign, now)
        for stream in self._signs.keys() - signs.keys():
            del self._signs[stream]
        self._unanswered &= signs.keys()
        waited = {stream: now - at for stream, (_, at) in self._signs.items()}
        unheard = max(waited.values(), default=0.0)
        if severed or unheard > SILENT:
            lost = {name for name, seconds in waited.items() if severed or seconds > SILENT}
            self._unanswered |= lost
            text = "no node is connected" if severed else "fetches are not answered"
            self._contact.lost(text, unheard)
        elif not self._unanswered:
            self._contact.found()
