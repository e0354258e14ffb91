"""Values that events can have, for hypothesis: any of them, and those at the edges.

Made of annotations and of what pydantic was told about them. What cannot be told from these, such
as a validator of the author's, is tried: a value that the class refuses is none.
"""

import operator
import types
from collections import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin
from uuid import UUID

import hypothesis.strategies as st
from hypothesis import Phase, assume, find, settings
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from choreo.contracts.annotations import unwrapped
from choreo.contracts.wire import Wire
from choreo.event import Event

E = TypeVar("E", bound=Event)
Values = st.SearchStrategy[Any]

_INT, _LONG = 31, 63
_SETS: tuple[object, ...] = (set, frozenset, abc.Set)
_LISTS: tuple[object, ...] = (list, abc.Sequence, abc.Collection, abc.Iterable)
_MAPS: tuple[object, ...] = (dict, abc.Mapping, abc.MutableMapping)
_MOST = 3
"""Items of a collection: what goes wrong goes wrong with a few."""
_TEXTS = ("", " ", "ä€😀", "\u0000", "null", "x" * 300)
_MOMENTS = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, 1000, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
)


def any_of(event: type[E]) -> st.SearchStrategy[E]:
    """Make any event of a class."""
    made: st.SearchStrategy[E] = _model(event)
    return made


def edges_of(event: type[E]) -> list[E]:
    """List the events at the edges of a class: the simplest, and with each field at each edge."""
    return [*cast("tuple[E, ...]", _model_edges(event))]


@cache
def _model_edges(model: type[BaseModel]) -> tuple[BaseModel, ...]:
    fields = {name: _field_edges(info) for name, info in model.model_fields.items()}
    simplest = {name: values[0] for name, values in fields.items() if values}
    required = {n: v for n, v in simplest.items() if model.model_fields[n].is_required()}
    candidates = [simplest, required]
    candidates += [{**simplest, name: one} for name, values in fields.items() for one in values[1:]]
    unique: dict[str, BaseModel] = {}
    for candidate in candidates:
        made = _tried(model, candidate)
        if made is not None:
            unique.setdefault(repr(made), made)
    return (*unique.values(),) or (find(_model(model), lambda _: True, settings=_ALONE),)


def _field_edges(info: FieldInfo) -> list[object]:
    """List the edges that a field allows, or what hypothesis finds where there are none."""
    said = [
        *info.metadata,
        *([Field(discriminator=info.discriminator)] if info.discriminator else []),
    ]
    kind: Any = Annotated[info.annotation, *said] if said else info.annotation
    adapter: TypeAdapter[object] = TypeAdapter(kind)
    found = [one for one in _edges(info.annotation, info.metadata) if _allowed(adapter, one)]
    return found or [find(_values(info.annotation, info.metadata), lambda _: True, settings=_ALONE)]


def _allowed(adapter: TypeAdapter[object], value: object) -> bool:
    try:
        adapter.validate_python(value)
    except (ValidationError, ValueError, TypeError, ArithmeticError):
        return False
    return True


_ALONE = settings(database=None, derandomize=True, deadline=None, phases=(Phase.generate,))
"""The same each time; hypothesis begins with what is simplest."""


def _model(model: type[BaseModel]) -> Values:
    """Make any instance of a model; what its validators refuse is none."""
    parts = {
        name: _values(info.annotation, info.metadata) for name, info in model.model_fields.items()
    }

    def made(fields: dict[str, object]) -> BaseModel:
        found = _tried(model, fields)
        assume(found is not None)
        return cast("BaseModel", found)

    return st.fixed_dictionaries(parts).map(made)


def _tried(model: type[BaseModel], fields: Mapping[str, object]) -> BaseModel | None:
    named = {_input_name(name, model.model_fields[name]): value for name, value in fields.items()}
    try:
        return model.model_validate(named)
    except (ValidationError, ValueError, TypeError, ArithmeticError):
        return None


def _input_name(name: str, info: FieldInfo) -> str:
    """Tell the name by which pydantic takes a field in."""
    alias = info.validation_alias or info.alias
    if isinstance(alias, str):
        return alias
    choices = getattr(alias, "choices", ())
    return next((one for one in choices if isinstance(one, str)), name)


def _values(annotation: object, metadata: Sequence[object]) -> Values:
    bare, more = unwrapped(annotation)
    said = [*metadata, *more]
    origin, arguments = get_origin(bare), get_args(bare)
    if bare in _SCALARS:
        return _SCALARS[bare](said)
    if origin in (Union, types.UnionType):
        return st.one_of(*(_values(one, said) for one in reversed(arguments)))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is None:
        return _class(bare, said)
    return _collection(origin, arguments, said)


def _class(bare: Any, said: Sequence[object]) -> Values:  # noqa: ANN401 -- an annotation
    if bare is type(None):
        return st.none()
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return st.deferred(lambda: _model(bare))
    if isinstance(bare, type) and issubclass(bare, Enum):
        return st.sampled_from(list(bare))
    kind: Any = Annotated[bare, *said] if said else bare  # pyright: ignore[reportUnknownVariableType]
    return st.from_type(kind)


def _collection(origin: object, arguments: tuple[object, ...], said: Sequence[object]) -> Values:
    least = _bound(said, "min_length") or 0
    most = min(_bound(said, "max_length") or max(_MOST, least), max(_MOST, least))
    if origin in _MAPS:
        keys, values = (_values(one, ()) for one in arguments)
        return st.dictionaries(keys, values, min_size=least, max_size=most)
    item = _values(arguments[0], ())
    if origin in _SETS:
        return st.frozensets(item, min_size=least, max_size=most)
    if origin in _LISTS or (origin is tuple and arguments[1:] == (...,)):
        return st.lists(item, min_size=least, max_size=most)
    return st.tuples(*(_values(one, ()) for one in arguments))


def _integers(said: Sequence[object]) -> Values:
    bits = _INT if _wire(said) == "int" else _LONG
    return _within(st.integers(*_range(said, -(2**bits), 2**bits - 1)), said)


def _floats(said: Sequence[object]) -> Values:
    width: Literal[32, 64] = 32 if _wire(said) == "float" else 64
    finite = st.floats(allow_nan=False, allow_infinity=False, width=width)
    return _within(finite, said)


def _decimals(said: Sequence[object]) -> Values:
    digits, places = _bound(said, "max_digits") or 28, _bound(said, "decimal_places") or 0
    most = 10**digits - 1
    low, high = _range(said, Decimal(-most).scaleb(-places), Decimal(most).scaleb(-places))
    least, top = (int(Decimal(one).scaleb(places).to_integral_value()) for one in (low, high))
    return _within(st.integers(least, top).map(lambda n: Decimal(n).scaleb(-places)), said)


def _texts(said: Sequence[object]) -> Values:
    pattern = next(
        (one for item in said if isinstance(one := getattr(item, "pattern", None), str)), None
    )
    if pattern is not None:
        texts: Values = st.from_regex(str(pattern))
        return texts
    text = st.characters(codec="utf-8")
    least = _bound(said, "min_length") or 0
    return st.text(text, min_size=least, max_size=_bound(said, "max_length") or least + 20)


def _binary(said: Sequence[object]) -> Values:
    least = _bound(said, "min_length") or 0
    return st.binary(min_size=least, max_size=_bound(said, "max_length") or least + 20)


def _datetimes(said: Sequence[object]) -> Values:
    moments = st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis adds the zone
    return moments.map(_millis) if _wire(said) == "timestamp-millis" else moments


def _times(said: Sequence[object]) -> Values:
    return st.times().map(_millis) if _wire(said) == "time-millis" else st.times()


T = TypeVar("T", datetime, time)


def _millis(moment: T) -> T:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


_SCALARS: Mapping[object, Callable[[Sequence[object]], Values]] = {
    bool: lambda _: st.booleans(),
    bytes: _binary,
    date: lambda _: st.dates(),
    datetime: _datetimes,
    AwareDatetime: _datetimes,
    Decimal: _decimals,
    float: _floats,
    int: _integers,
    str: _texts,
    time: _times,
    UUID: lambda _: st.uuids(),
}


def _edges(annotation: object, metadata: Sequence[object]) -> list[object]:
    """List the values at the edges of a type; some may be refused by what is said about it."""
    bare, more = unwrapped(annotation)
    said = [*metadata, *more]
    origin, arguments = get_origin(bare), get_args(bare)
    if origin in (Union, types.UnionType):
        return [value for one in arguments for value in _edges(one, said)]
    if origin is Literal:
        return [*arguments]
    if origin in _MAPS:
        return [{}, *({"": value, "ä b": value} for value in _edges(arguments[1], ()))]
    if origin in (*_LISTS, *_SETS) or (origin is tuple and arguments[1:] == (...,)):
        items = _edges(arguments[0], ())
        return [[], *([value] for value in items), items]
    return _class_edges(bare, said)


def _class_edges(bare: Any, said: Sequence[object]) -> list[object]:  # noqa: ANN401 -- an annotation
    if isinstance(bare, type) and issubclass(bare, Enum):
        return [*bare]
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return [*_model_edges(bare)]
    return _scalar_edges(bare, said)


def _scalar_edges(bare: Any, said: Sequence[object]) -> list[object]:  # noqa: ANN401 -- as above
    digits, places = _bound(said, "max_digits") or 28, _bound(said, "decimal_places") or 0
    most = Decimal(10**digits - 1).scaleb(-places)
    bits = _INT if _wire(said) == "int" else _LONG
    known: Mapping[object, Sequence[object]] = {
        bool: (False, True),
        bytes: (b"", b"\x00\xff", bytes(range(256))),
        date: (date(1970, 1, 1), date(1, 1, 1), date(9999, 12, 31)),
        datetime: _MOMENTS,
        AwareDatetime: _MOMENTS,
        Decimal: (Decimal(0).scaleb(-places), Decimal(1).scaleb(-places), most, -most),
        float: (0.0, -0.5, 2.0**-126, 2.0**127),
        int: (0, 1, -1, 2**bits - 1, -(2**bits)),
        str: (*_TEXTS, "x" * (_bound(said, "max_length") or 1)),
        time: (time(0), time(23, 59, 59, 999000)),
        type(None): (None,),
        UUID: (UUID(int=0), UUID(int=2**128 - 1)),
    }
    limits = [_beside(item) for item in said] if bare in {int, Decimal, float} else []
    return [*known.get(bare, ()), *(one for some in limits for one in some)]


def _beside(item: object) -> Iterator[object]:
    """Tell the numbers just within what a constraint allows."""
    for name, step in {"gt": 1, "ge": 0, "lt": -1, "le": 0}.items():
        limit = getattr(item, name, None)
        if limit is not None:
            yield limit + step


def _within(values: Values, said: Sequence[object]) -> Values:
    tests = [
        (compare, limit)
        for name, compare in _COMPARISONS.items()
        for item in said
        if (limit := getattr(item, name, None)) is not None
    ]
    return values.filter(lambda value: all(compare(value, limit) for compare, limit in tests))


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "multiple_of": lambda value, step: value % step == 0,
}


def _range(said: Sequence[object], low: Any, high: Any) -> tuple[Any, Any]:  # noqa: ANN401 -- numbers of one kind
    for item in said:
        for name in ("gt", "ge"):
            low = max(low, getattr(item, name, None) or low)
        for name in ("lt", "le"):
            limit = getattr(item, name, None)
            high = high if limit is None else min(high, limit)
    return low, high


def _bound(said: Sequence[object], name: str) -> int | None:
    for item in said:
        for one in (item, *getattr(item, "metadata", ())):
            value: object = getattr(one, name, None)
            if isinstance(value, int):
                return value
    return None


def _wire(said: Sequence[object]) -> str | None:
    return next((item.type for item in said if isinstance(item, Wire)), None)
