"""Annotations read as shapes; what Avro cannot say is refused, with its place and a way out."""

import inspect
import types
from collections import abc
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Literal, NewType, NoReturn, Union, get_args, get_origin
from uuid import UUID

from pydantic import AliasChoices, AwareDatetime, BaseModel, RootModel
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType

from choreo.contracts.names import check_name
from choreo.contracts.shape import (
    Choice,
    Entries,
    Items,
    Kind,
    Member,
    Record,
    Scalar,
    Shape,
    Symbols,
)
from choreo.contracts.wire import Wire
from choreo.errors import ConfigurationError
from choreo.event import Event, event_type

_SCALARS: Mapping[object, Kind] = {
    bool: "bool",
    bytes: "bytes",
    date: "date",
    datetime: "datetime",
    AwareDatetime: "datetime",
    float: "float",
    int: "int",
    str: "str",
    time: "time",
    UUID: "uuid",
}
_LISTS: frozenset[object] = frozenset(
    (list, set, frozenset, abc.Sequence, abc.Set, abc.Collection, abc.Iterable)
)
_MAPS: frozenset[object] = frozenset((dict, abc.Mapping, abc.MutableMapping))
_HINTS: Mapping[object, str] = {
    timedelta: "use int, and say its unit in the name",
    type(None): "leave the field out",
    list: "say of what: list[str]",
    dict: "say of what: dict[str, str]",
}
_PLAIN = frozenset(("bool", "bytes", "float", "int", "str"))
MAX_DEPTH = 64
"""Levels of nesting; a reader of another make may have no more stack than that (T5)."""


def shape_of(event: type[Event]) -> Record:
    """Tell the shape of *event*; raise ConfigurationError for what Avro cannot say."""
    declared = event_type(event)
    namespace, _, name = declared.name.rpartition(".")
    check_name(name, f"{event.__name__}: its name on the wire")
    for part in filter(None, namespace.split(".")):
        check_name(part, f"{event.__name__}: its namespace")
    return _Reading(namespace).record(event, name, event.__name__)


class _Reading:
    """One event being read: the models it is within, and the names it has given."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._within: list[type[BaseModel]] = []
        self._named: dict[str, object] = {}
        self._depth = 0

    def record(self, model: type[BaseModel], name: str, where: str) -> Record:
        if model in self._within:
            _refuse(where, f"{model.__name__} contains itself", "give it an id and refer to that")
        decorators = model.__pydantic_decorators__
        if decorators.field_serializers or decorators.model_serializers:
            _refuse(where, f"{model.__name__} has serializers of its own", "use types Avro has")
        self._name(name, model, where)
        self._within.append(model)
        members = tuple(
            self._member(attribute, field, name, f"{where}.{attribute}")
            for attribute, field in model.model_fields.items()
        )
        self._within.pop()
        own = {member.name for member in members}
        for member in members:
            for alias in own.intersection(member.aliases):
                _refuse(where, f"{alias} is a field and an earlier name of another", "drop one")
        doc = inspect.cleandoc(model.__doc__) if model.__doc__ else None
        return Record(name=name, namespace=self._namespace, model=model, members=members, doc=doc)

    def _member(self, attribute: str, field: FieldInfo, owner: str, where: str) -> Member:
        wire, aliases = _wire_names(attribute, field, where)
        shape = self._shape(field.annotation, field.metadata, (owner, attribute), where)
        if isinstance(shape, Choice) and shape.tag is None and _records(shape) > 1:
            if not isinstance(field.discriminator, str):
                _refuse(where, "several models without a tag", "add Field(discriminator='…')")
            shape = Choice(options=shape.options, nullable=shape.nullable, tag=field.discriminator)
        has_default, default = _default(field)
        deprecated = field.deprecated
        return Member(
            attribute=attribute,
            name=wire,
            shape=shape,
            aliases=aliases,
            has_default=has_default,
            default=default,
            doc=field.description,
            deprecated=str(field.deprecation_message or "deprecated") if deprecated else None,
        )

    def _shape(
        self, annotation: object, metadata: Sequence[object], naming: tuple[str, str], where: str
    ) -> Shape:
        if self._depth >= MAX_DEPTH:
            _refuse(where, "it is nested too deep", f"stay within {MAX_DEPTH} levels")
        self._depth += 1
        shape = self._read(annotation, metadata, naming, where)
        self._depth -= 1
        return shape

    def _read(
        self, annotation: object, metadata: Sequence[object], naming: tuple[str, str], where: str
    ) -> Shape:
        bare, more = unwrapped(annotation)
        metadata = [*metadata, *more]
        origin, arguments = get_origin(bare), get_args(bare)
        if bare in _SCALARS:
            return Scalar(kind=_narrow(_SCALARS[bare], metadata, where))
        if isinstance(bare, type) and origin is None:
            return self._class(bare, metadata, where)
        if origin in (Union, types.UnionType):
            return self._choice(arguments, metadata, naming, where)
        if origin is Literal:
            return self._literal(arguments, naming, where)
        return self._collection(origin, arguments, naming, where)

    def _collection(
        self, origin: object, arguments: Sequence[object], naming: tuple[str, str], where: str
    ) -> Shape:
        if origin in _MAPS:
            if unwrapped(arguments[0])[0] is not str:
                _refuse(where, "a mapping whose keys are no strings", "use dict[str, …]")
            return Entries(self._shape(arguments[1], (), naming, f"{where}[…]"))
        if origin in _LISTS or (origin is tuple and arguments[1:] == (...,)):
            item = self._shape(arguments[0], (), naming, f"{where}[…]")
            if _takes_no_bytes(item):
                _refuse(where, "a list of things without fields", "count them with an int (T5)")
            return Items(item)
        return _refuse(where, str(origin or "Any"), "use a type that Avro has, or str")

    def _class(self, cls: type[object], metadata: Sequence[object], where: str) -> Shape:
        if issubclass(cls, RootModel):
            _refuse(where, f"{cls.__name__} has no field of a name", "use its type itself")
        if issubclass(cls, BaseModel):
            return self.record(cls, cls.__name__, where)
        if issubclass(cls, Enum):
            return self._enum(cls, where)
        if cls is Decimal:
            precision, scale = (_constraint(metadata, name) for name in _DIGITS)
            if precision is None or scale is None:
                _refuse(
                    where,
                    "a Decimal without max_digits and decimal_places",
                    "write Annotated[Decimal, Field(max_digits=12, decimal_places=2)]",
                )
            if not 0 <= scale <= precision or not precision:
                _refuse(where, "a Decimal with more decimal_places than max_digits", "raise these")
            return Scalar(kind="decimal", precision=precision, scale=scale)
        return _refuse(where, cls.__name__, _HINTS.get(cls, "use a type that Avro has, or str"))

    def _choice(
        self,
        arguments: Sequence[object],
        metadata: Sequence[object],
        naming: tuple[str, str],
        where: str,
    ) -> Shape:
        some = [argument for argument in arguments if argument is not type(None)]
        shapes = [self._shape(one, metadata, naming, where) for one in some]
        # What is optional may itself be one of several, which Avro has as one union.
        inner = shapes[0] if len(shapes) == 1 and isinstance(shapes[0], Choice) else None
        if inner is not None:
            nullable = inner.nullable or len(some) < len(arguments)
            return Choice(options=inner.options, nullable=nullable, tag=inner.tag)
        options = tuple(shapes)
        records = [option for option in options if isinstance(option, Record)]
        scalars = [option.kind for option in options if isinstance(option, Scalar)]
        if len(options) > 1 and not (
            len(records) == len(options)
            or (len(scalars) == len(options) and _PLAIN.issuperset(scalars))
        ):
            _refuse(where, "a union of unlike things", "use models with a tag, or one type")
        tag = next((getattr(item, "discriminator", None) for item in metadata), None)
        return Choice(
            options=options,
            nullable=len(some) < len(arguments),
            tag=tag if isinstance(tag, str) else None,
        )

    def _literal(self, values: Sequence[object], naming: tuple[str, str], where: str) -> Symbols:
        symbols = [value for value in values if isinstance(value, str)]
        if len(symbols) < len(values):
            _refuse(where, "a Literal of other things than strings", "use an Enum")
        for symbol in symbols:
            check_name(symbol, f"{where}: the symbol")
        owner, attribute = naming
        name = owner + "".join(part.capitalize() for part in attribute.split("_"))
        self._name(name, (owner, attribute, tuple(symbols)), where)
        return Symbols(name=name, symbols=tuple(symbols), members=tuple(symbols))

    def _enum(self, cls: type[Enum], where: str) -> Symbols:
        members = list(cls)
        by_value = all(isinstance(member.value, str) for member in members)
        symbols = tuple(str(member.value) if by_value else member.name for member in members)
        for symbol in symbols:
            check_name(symbol, f"{where}: the symbol")
        if not members:
            _refuse(where, f"{cls.__name__} has no members", "give it one")
        self._name(cls.__name__, cls, where)
        try:
            # What Python takes for a value it does not know, Avro calls the enum's default.
            fallback: object = cls._missing_("")
        except (ValueError, TypeError, KeyError):
            fallback = None
        default = symbols[members.index(fallback)] if isinstance(fallback, cls) else None
        own = cls.__doc__ if cls.__doc__ != Enum.__doc__ else None
        return Symbols(
            name=cls.__name__,
            symbols=symbols,
            members=tuple(members),
            default=default,
            doc=inspect.cleandoc(own) if own else None,
        )

    def _name(self, name: str, thing: object, where: str) -> None:
        check_name(name, f"{where}: the type name")
        if self._named.setdefault(name, thing) != thing:
            _refuse(where, f"a second type named {name}", "name one of them differently")


def _narrow(kind: Kind, metadata: Sequence[object], where: str) -> Kind:
    """Take what ``Wire`` says in place of the widest type, if it is of the same sort."""
    asked = next((item.type for item in metadata if isinstance(item, Wire)), None)
    if asked is None:
        return kind
    found = _NARROWER.get((kind, asked))
    return found or _refuse(where, f"a {kind} as {asked}", "use a type of choreo.contracts.wire")


_NARROWER: Mapping[tuple[Kind, str], Kind] = {
    ("int", "int"): "int32",
    ("float", "float"): "float32",
    ("datetime", "timestamp-millis"): "millis",
    ("time", "time-millis"): "time_millis",
}


_DIGITS = ("max_digits", "decimal_places")


def _constraint(metadata: Sequence[object], name: str) -> int | None:
    for item in metadata:
        candidates = (item, *getattr(item, "metadata", ()))
        for candidate in candidates:
            value: object = getattr(candidate, name, None)
            if isinstance(value, int):
                return value
    return None


def _wire_names(attribute: str, field: FieldInfo, where: str) -> tuple[str, tuple[str, ...]]:
    """Tell the name on the wire and the earlier ones, which must be what pydantic reads too."""
    wire = field.serialization_alias or field.alias or attribute
    read = field.validation_alias or field.alias or attribute
    choices = read.choices if isinstance(read, AliasChoices) else [read]
    names = [choice for choice in choices if isinstance(choice, str)]
    if len(names) < len(choices) or wire not in names:
        _refuse(
            where, "an alias that is not read as it is written", "use one alias, or AliasChoices"
        )
    for name in names:
        check_name(name, f"{where}: the name")
    return wire, tuple(name for name in names if name != wire)


def _default(field: FieldInfo) -> tuple[bool, object]:
    """Tell whether there is a default, and which; one that is made anew each time is none."""
    factory: object = field.default_factory
    factory = get_origin(factory) or factory
    if factory is dict:
        return True, {}
    if factory in (frozenset, list, set, tuple):
        return True, ()
    if factory is not None or field.is_required():
        return False, None
    return True, field.default


def _takes_no_bytes(shape: Shape) -> bool:
    """Tell whether a list of these could be of any length in no bytes (T5)."""
    return isinstance(shape, Record) and all(_takes_no_bytes(one.shape) for one in shape.members)


def _records(shape: Choice) -> int:
    return sum(isinstance(option, Record) for option in shape.options)


def unwrapped(annotation: object) -> tuple[object, tuple[object, ...]]:
    """Take ``Annotated`` and aliases off: the bare annotation and what was said about it."""
    said: tuple[object, ...] = ()
    while True:
        if hasattr(annotation, "__metadata__"):
            annotation, *more = get_args(annotation)
            said = (*more, *said)
        elif isinstance(annotation, TypeAliasType):
            annotation = annotation.__value__
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        else:
            return annotation, said


def _refuse(where: str, what: str, remedy: str) -> NoReturn:
    raise ConfigurationError(f"{where}: Avro cannot say this ({what}): {remedy}")
