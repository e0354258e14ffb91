"""The log that every MemoryBroker of one name shares, and where those logs are found."""

import asyncio
from itertools import count
from weakref import WeakValueDictionary

from choreo.errors import BrokerError, ConfigurationError
from choreo_memory.group import Group
from choreo_memory.partition import TopicLog
from choreo_memory.settings import Settings, topic_problem


class Log:
    """Topics and groups of one in-memory broker; of one event loop while anyone has it open."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.topics: dict[str, TopicLog] = {}
        self._groups: dict[str, Group] = {}
        self._epochs = count(1)  # of all groups, so that no two assignments ever share one
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open = 0

    def enter(self) -> None:
        """Count one more user; raise ConfigurationError if the others run in another event loop."""
        loop = asyncio.get_running_loop()
        if self._open and loop is not self._loop:
            raise ConfigurationError(
                f"memory://{self._settings.name} is open in another event loop: use one loop, or "
                "one name for each"
            )
        self._loop = loop
        self._open += 1

    def check_loop(self) -> None:
        """Raise BrokerError in any event loop but the one it is open in."""
        if asyncio.get_running_loop() is not self._loop:
            raise BrokerError(
                f"memory://{self._settings.name} is open in another event loop: its clients work "
                "in the loop that opened them"
            )

    def exit(self) -> None:
        """Count one user less."""
        self._open -= 1

    def topic(self, name: str) -> TopicLog:
        """Find the topic *name*, made if need be; raise ConfigurationError for a bad name."""
        return self.topics.get(name) or self.create(name, None)

    def create(self, name: str, partitions: int | None) -> TopicLog:
        """Make the topic *name*."""
        problem = topic_problem(name)
        if problem:
            raise ConfigurationError(problem)
        topic = TopicLog(name, partitions or self._settings.partitions, self._settings.retention)
        self.topics[name] = topic
        return topic

    def group(self, name: str) -> Group:
        """Find the group *name*, made if need be."""
        if name not in self._groups:
            self._groups[name] = Group(name, self._epochs)
        return self._groups[name]

    def check(self, settings: Settings) -> None:
        """Raise ConfigurationError unless *settings* are those it was made with."""
        if settings != self._settings:
            raise ConfigurationError(
                f"memory://{settings.name} exists with other options: {self._settings}, "
                f"not {settings}"
            )


# The one mutable thing at module level: services of one process find each other by name. It holds
# no log that no broker object holds.
_LOGS: WeakValueDictionary[str, Log] = WeakValueDictionary()


def shared(settings: Settings) -> Log:
    """Find the log that *settings* name, made if no broker object refers to one."""
    log = _LOGS.get(settings.name)
    if log is None:
        log = _LOGS[settings.name] = Log(settings)
    log.check(settings)
    return log


def forget(url: str) -> None:
    """Make the next MemoryBroker for *url* begin an empty log; those that exist keep theirs."""
    _LOGS.pop(Settings.parse(url).name, None)
