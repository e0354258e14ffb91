"""Shards: the parts of an outbox among which the relays of a service share their work.

A lane lies whole in one shard, and a shard has one relay at a time, so that the order within a lane
needs no lock while its events are on their way to the broker.
"""

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b

SHARDS = 32
"""Part of the schema: rows say their shard, so all processes must count alike."""
PER_SHARD = 32
"""Rows that a relay reads of one shard at least: fewer, and a lone busy key would be slow."""
LANE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Division:
    """What one relay has to do so that all have a fair share."""

    surplus: frozenset[int]
    """Shards to give back."""
    wanted: int
    """Shards to take, as far as there are free ones."""


def lane_digest(lane: str) -> bytes:
    """Shorten a lane's name; two lanes with one digest would merely wait for each other."""
    return blake2b(lane.encode(errors="surrogatepass"), digest_size=LANE_BYTES).digest()


def shard_of(digest: bytes) -> int:
    """Tell in which shard a lane lies, the same on every machine and in every version."""
    return int.from_bytes(digest[:4], "big") % SHARDS


def divide(held: Collection[int], relays: int) -> Division:
    """Compare what one of *relays* holds with its share, rounded up so that none is left over."""
    share = -(-SHARDS // max(relays, 1))
    surplus = sorted(held)[share:]
    return Division(frozenset(surplus), max(0, share - len(held)))
