"""Which fields of their events handlers really read, noted while tests run.

Every event that a handler is handed is known by its identity, and so is each model within it, once
that is reached. While anybody looks on, the classes of those have a ``__getattribute__`` that tells
of each access; the events are what they always are, of their own class. Pydantic and everything
built on it (dumping, iterating, comparing, hashing, copying, printing) takes ``__dict__``, which
counts as reading all of the model. A model that a handler keeps goes on telling until it is
collected, for what is read of it later is read on the handler's behalf, unless a test reads it.
"""

import sys
import sysconfig
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache
from inspect import unwrap
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, cast

import pydantic
from pydantic import BaseModel

import choreo
from choreo.context import running
from choreo.contracts.lock import WHOLE
from choreo.delivery import pipeline, shortcut
from choreo.event import Event
from choreo.plan import Plan

_ALL_OF_IT = frozenset({"__dict__", "__pydantic_fields_set__"})

FieldPath = tuple[str, ...]
"""Names on the wire, ``[]`` for items, ``{}`` for values."""
Place = tuple[str, int]
"""File and line."""


@dataclass(slots=True, eq=False)
class Observed:
    """One handler, and what it was seen to read."""

    service: str
    plan: Plan
    reads: dict[FieldPath, set[Place]] = field(default_factory=dict[FieldPath, set[Place]])

    @property
    def place(self) -> Place:
        """Where the handler is written."""
        code = getattr(unwrap(self.plan.function), "__code__", None)
        return (code.co_filename, code.co_firstlineno) if code else (repr(self.plan.function), 0)


Owner = tuple[Observed, FieldPath]


class FieldReads:
    """Looks on, and keeps what handlers read; *is_test* tells the files whose reading is none."""

    def __init__(self, is_test: Callable[[str], bool] = lambda _: False) -> None:
        self.handlers: dict[tuple[str, str], Observed] = {}
        """By service and handler."""
        self.emitted: dict[str, set[type[Event]]] = {}
        """What services published outside of their handlers."""
        self._is_test = is_test
        self._owners: dict[int, tuple[weakref.ref[BaseModel], frozenset[Owner]]] = {}
        self._telling: set[type[BaseModel]] = set()
        self._within = threading.local()

    def handed(self, service: str, plan: Plan, event: Event, /) -> None:
        """Follow *event*, which one handler is about to have."""
        key = (service, plan.id)
        observed = self.handlers.get(key)
        if observed is None or observed.plan is not plan:
            reads = {} if observed is None else observed.reads
            observed = self.handlers[key] = Observed(service, plan, reads)
        self._follow(event, observed, ())

    def published(self, service: str, event: type[Event], /) -> None:
        """Note that a service published an event outside of its handlers."""
        self.emitted.setdefault(service, set()).add(event)

    def close(self) -> None:
        """Let the classes be as they were, and forget the events."""
        for model in self._telling:
            del model.__getattribute__
        self._telling.clear()
        self._owners.clear()

    def _follow(self, value: object, observed: Observed, path: FieldPath) -> None:
        """Have every model in *value* tell what is read of it."""
        if isinstance(value, BaseModel):
            self._own(value, (observed, path))
        elif isinstance(value, list | tuple | AbstractSet):
            for item in cast("list[object]", value):
                self._follow(item, observed, (*path, "[]"))
        elif isinstance(value, Mapping):
            for item in cast("Mapping[object, object]", value).values():
                self._follow(item, observed, (*path, "{}"))

    def _own(self, model: BaseModel, owner: Owner) -> None:
        identity, kind = id(model), type(model)
        found = self._owners.get(identity)
        # A default may be one object in many events, and so be several handlers'.
        owners = found[1] if found is not None and found[0]() is model else frozenset[Owner]()
        gone = weakref.ref(model, lambda _: self._owners.pop(identity, None))
        self._owners[identity] = (gone, owners | {owner})
        if kind not in self._telling:
            self._telling.add(kind)
            kind.__getattribute__ = self._teller(kind.__getattribute__)  # type: ignore[method-assign, assignment]

    def _teller(self, original: Callable[[Any, str], Any]) -> Callable[[BaseModel, str], Any]:
        def __getattribute__(model: BaseModel, name: str) -> Any:  # noqa: ANN401, N807 -- as Python has it
            found = self._owners.get(id(model))
            wire = None if found is None else _wire_names(type(model)).get(name)
            if found is None or wire is None or getattr(self._within, "busy", False):
                return original(model, name)
            # What a deprecated field takes to be read is no other reading.
            self._within.busy = True
            try:
                value = original(model, name)
                self._note(found[1], wire, value)
            finally:
                self._within.busy = False
            return value

        return __getattribute__

    def _note(self, owners: frozenset[Owner], wire: str, value: object) -> None:
        for observed, path in owners:
            place = self._place(observed)
            if place is not None:
                observed.reads.setdefault((*path, wire), set()).add(place)
            if wire != WHOLE:
                self._follow(value, observed, (*path, wire))

    def _place(self, observed: Observed) -> Place | None:
        """Tell who reads: the innermost line that is no library's; None for a test."""
        own = observed.place
        first: Place | None = None
        for frame in _frames():
            file = frame.f_code.co_filename
            if first is None and (file == own[0] or not _is_library(file)):
                first = (file, frame.f_lineno)
            if file in _CALLERS:
                return first or own
        if first is not None and self._is_test(first[0]) and not _handled_by(observed):
            return None
        return first or own


def _handled_by(observed: Observed) -> bool:
    """Tell whether this runs on behalf of an attempt, in a task or a thread of its own."""
    context = running()
    return (
        context is not None
        and context.service == observed.service
        and context.handler == observed.plan.id
    )


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 -- the documented way up the stack
    while frame is not None:
        if frame.f_code.co_filename != __file__:
            yield frame
        frame = frame.f_back


@cache
def _wire_names(model: type[BaseModel]) -> Mapping[str, str]:
    """Tell what attributes are fields, by their names on the wire; some stand for all of them."""
    names = {
        name: info.serialization_alias or info.alias or name
        for name, info in model.model_fields.items()
    }
    return {**names, **dict.fromkeys(_ALL_OF_IT, WHOLE)}


def _folder(package: ModuleType) -> str:
    return f"{Path(str(package.__file__)).parent}/"


_CALLERS = frozenset((str(pipeline.__file__), str(shortcut.__file__)))
"""Where handlers are called from."""

_LIBRARIES = (
    _folder(choreo),
    _folder(pydantic),
    *(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib")),
)


@cache
def _is_library(file: str) -> bool:
    return file.startswith(_LIBRARIES) or file.startswith("<")
