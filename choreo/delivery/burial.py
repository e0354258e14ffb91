"""Dead-lettering: the original bytes and the reason, accepted by the broker before the source is settled."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from choreo.broker import Capabilities
from choreo.clock import Clock
from choreo.dead_letter import DeadLetter, Reason, bury, dead_letter_topic, is_dead_letter_topic
from choreo.delivery.job import Job
from choreo.delivery.publisher import Publisher
from choreo.errors import (
    CodecError,
    HandlerTimeout,
    MalformedEnvelope,
    Reject,
    UndeclaredEmit,
    UnknownVersion,
)

logger = logging.getLogger(__name__)
