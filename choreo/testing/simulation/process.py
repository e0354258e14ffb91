"""Running one service on one host, again and again: what a supervisor of processes does."""

import asyncio
from collections.abc import Callable, Mapping
from contextvars import Context
from copy import copy
from random import Random
from typing import Any

from choreo.errors import ChoreoError, ConfigurationError
from choreo.runner import Running, started
from choreo.service import Service
from choreo.settings import Settings
from choreo.testing.simulation.broker import Cluster, SimulatedBroker
from choreo.testing.simulation.host import Host
from choreo.testing.simulation.loop import OWNER, SimulationLoop
from choreo.testing.simulation.store import Database, SimulatedStore
from choreo.testing.simulation.witness import Stage, Witness

AGAIN = 1.0
"""Seconds after which what ended by itself is started again."""


class Process:
    """One service on one host, over all its lives."""

    def __init__(
        self,
        service: Service[Any],
        settings: Settings,
        name: str,
        ground: "Ground",
    ) -> None:
        self._service = service
        self._settings = settings
        self._name = name
        self._ground = ground
        self._life = 0
        self._skew = 0.0
        self._task: asyncio.Task[None] | None = None
        self.host: Host | None = None
        self.ready = False
        """It has started, and neither ended nor died since."""
        self.wanted = False
        """It is to be started again when it ends."""

    @property
    def service(self) -> str:
        """The name of what runs on it."""
        return self._service.name

    def start(self) -> None:
        """Begin a new life, unless one is lived."""
        if self.host is not None and not self.host.dead:
            return
        self._life += 1
        self.wanted = True
        ground = self._ground
        random = Random(f"{ground.seed} {self._name} {self._life}")
        host = Host(self._name, self._life, ground.loop, random)
        host.clock.skew = self._skew
        self.host = host
        ground.stage.tell("fault", str(host), "starts")
        context = ground.context.copy()
        context.run(OWNER.set, host)
        self._task = ground.loop.create_task(self._live(host), name=str(host), context=context)

    def kill(self) -> None:
        """Cut the power."""
        host = self.host
        if host is None or host.dead:
            return
        self._ground.stage.tell("fault", str(host), "is killed")
        host.die()
        self.ready = False
        self._ground.cluster.silent(host)
        database = self._ground.databases.get(self._service.name)
        if database is not None:
            database.cut(host)

    def stop(self) -> None:
        """Have it end in order."""
        if self._task is not None and self.host is not None and not self.host.dead:
            self.wanted = self.ready = False
            self._ground.stage.tell("fault", str(self.host), "is asked to stop")
            self._task.cancel()

    def skew(self, seconds: float) -> None:
        """Move its wall clock."""
        self._skew = seconds
        if self.host is not None:
            self.host.clock.skew = seconds

    @property
    def gone(self) -> bool:
        """Say whether nothing of it runs, or ever will unless it is started."""
        return self.host is None or self.host.dead

    async def _live(self, host: Host) -> None:
        stage = self._ground.stage
        witness = Witness(stage, host, self._service.name)
        twin = copy(self._service)  # of a process's own, as its outlet and its store are
        twin.middleware = (witness.began, *twin.middleware)
        database = self._ground.databases.get(self._service.name)
        if database is not None:
            twin._store = SimulatedStore(database, host)  # noqa: SLF001 -- as if it were built so
        try:
            async with started(
                twin,
                settings=self._settings,
                environment=host.environment,
                journals=[witness],
                connect=lambda _: SimulatedBroker(self._ground.cluster, host),
            ) as running:
                self.ready = True
                await self._serve(running)
        except ConfigurationError as error:
            stage.tell("broken", str(host), f"a process cannot start: {error}")
        except ChoreoError as error:
            stage.tell("fault", str(host), f"ends: {error!r}")
        except asyncio.CancelledError:
            stage.tell("fault", str(host), "has stopped")
        except Exception as error:  # noqa: BLE001 -- the boundary of a process
            stage.tell("broken", str(host), f"a process ended with {error!r}")
        finally:
            if not host.dead:
                self._ended(host)

    async def _serve(self, running: Running) -> None:
        await running.wait()

    def _ended(self, host: Host) -> None:
        self.ready = False
        host.die()
        if self.wanted:
            self._ground.later(AGAIN, self.start)


class Ground:
    """What all processes of a world stand on."""

    def __init__(
        self,
        *,
        seed: int,
        loop: SimulationLoop,
        stage: Stage,
        cluster: Cluster,
        databases: Mapping[str, Database],
        context: Context,
    ) -> None:
        self.seed = seed
        self.loop = loop
        self.stage = stage
        self.cluster = cluster
        self.databases = databases
        self.context = context
        """The world's own."""

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Have the world call *callback* after *seconds*."""
        self.loop.call_later(seconds, callback, context=self.context.copy())
