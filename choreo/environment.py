"""What the outside gives a service: time, identities and randomness, each replaceable."""

from dataclasses import dataclass, field
from random import Random

from choreo.clock import Clock, SystemClock
from choreo.ids import Ids, SystemIds


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The sources of all that events do not decide; a test or a simulation brings its own."""

    clock: Clock = field(default_factory=SystemClock)
    ids: Ids = field(default_factory=SystemIds)
    random: Random = field(default_factory=Random)
