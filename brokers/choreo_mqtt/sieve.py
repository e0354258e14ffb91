"""What of all that a session sends us was asked for."""

import logging
from collections.abc import Sequence

from choreo.broker import TopicFilter
from choreo_mqtt.topics import matcher
from choreo_mqtt.wire import Incoming

logger = logging.getLogger(__name__)


class Sieve:
    """Lets pass what a subscription asks for.

    Kept values come even to those who do not ask for them: some brokers do not know better, and a
    session may have begun under other wishes. And a session that outlives a version of a service
    holds filters which the next version does not ask for; MQTT has no way to list them.
    """

    def __init__(self, topics: Sequence[TopicFilter], client_id: str) -> None:
        self._client_id = client_id
        self._wanted = matcher(each.name for each in topics)
        self._kept = matcher(each.name for each in topics if each.retained)
        self._strayed = False

    def passes(self, incoming: Incoming) -> bool:
        """Say whether *incoming* was asked for."""
        topic = incoming.topic
        if incoming.retain:
            return self._kept.fullmatch(topic) is not None
        if self._wanted.fullmatch(topic):
            return True
        if not self._strayed:
            self._strayed = True
            logger.warning(
                "the session still has a filter that this subscription does not ask for: "
                "what comes through it is dropped",
                extra={"client_id": self._client_id, "topic": topic[:200]},
            )
        return False
