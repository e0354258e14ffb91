"""Recognises replays among deliveries, and makes of each the message that the handler failed on."""

from dataclasses import replace

from choreo.broker import Capabilities
from choreo.dead_letter import original, read_dead_letter
from choreo.errors import DecodeError
from choreo.message import Delivery
from choreo.replay import (
    Action,
    Replayed,
    read_decision,
    replay_prefix,
    without_decision,
)


class Replays:
    """The replays of one service."""

    def __init__(self, service: str, capabilities: Capabilities) -> None:
        self._service = service
        self.prefix = replay_prefix(service, capabilities)
        """What the topics of replays begin with, and few others."""
        self._levels = capabilities.topic_levels

    def holds(self, topic: str) -> bool:
        """Say whether *topic* is one of this service's replays; nothing else on it counts (T3)."""
        return topic.startswith(self.prefix) if self._levels else topic == self.prefix

    def read(self, delivery: Delivery) -> Replayed | None:
        """Restore what is to be handled again; None for a note, or where a kept one is taken away.

        Raises DecodeError for what no desk has written, or not for this service.
        """
        if self._levels and not delivery.body:
            return None
        decision = read_decision(delivery)
        if decision.action is not Action.REPLAY:
            return None
        stored = replace(delivery, headers=without_decision(delivery))
        letter = read_dead_letter(stored)
        if letter is None or letter.service != self._service:
            raise DecodeError(f"a replay on {delivery.topic!r} holds no letter of {self._service}")
        message = original(stored)
        return Replayed(
            topic=message.topic,
            body=message.body,
            key=message.key,
            headers=message.headers,
            stream=delivery.stream,
            position=delivery.position,
            epoch=delivery.epoch,
            timestamp=delivery.timestamp,
            letter=decision.letter,
            handler=letter.handler,
            generation=decision.generation,
            forced=decision.forced,
            behind=None if decision.forced else decision.behind,
            first_failed=letter.first_failed,
            origin=(letter.stream, letter.position),
        )
