"""Where letters lie, a service's own or anybody else's, and what was decided about them."""

from dataclasses import dataclass
from urllib.parse import quote

from choreo.broker import Capabilities, TopicFilter
from choreo.dead_letter import dead_letter_filter, is_dead_letter_topic
from choreo.errors import ConfigurationError
from choreo.replay import replay_filter, replay_prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Topics of one desk."""

    name: str
    """The service, or the topic."""
    service: str | None
    """None for a topic of others' letters, which no handler of ours can be given again."""
    letters: TopicFilter
    journal: TopicFilter
    """Every decision; for a service, its replay topic."""
    prefix: str
    """The journal's topic; with topic levels, how it begins, before a letter's id."""


def of_service(service: str, capabilities: Capabilities) -> Place:
    """Tell where the letters of *service* lie."""
    return Place(
        name=service,
        service=service,
        letters=dead_letter_filter(service, capabilities),
        journal=replay_filter(service, capabilities, kept=True),
        prefix=replay_prefix(service, capabilities),
    )


def of_topic(topic: str, capabilities: Capabilities) -> Place:
    """Tell where letters lie that choreo did not write; raise ConfigurationError for its own."""
    if is_dead_letter_topic(topic):
        raise ConfigurationError(f"{topic} holds a service's own letters: name the service")
    letters = TopicFilter(topic, retained=capabilities.retained)
    if capabilities.topic_levels:
        prefix = f"choreo/desk/{quote(topic, safe='')}/"
        journal = TopicFilter(f"{prefix}+", retained=capabilities.retained)
    else:
        prefix = f"choreo.desk.{topic}"
        journal = TopicFilter(prefix)
    return Place(name=topic, service=None, letters=letters, journal=journal, prefix=prefix)
