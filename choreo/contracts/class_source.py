"""An event class written from an Avro schema: the reverse of deriving one."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from choreo.contracts.class_defaults import default_source
from choreo.contracts.class_words import (
    attributes,
    check_class_name,
    docstring,
    imports,
    members,
    primitive,
    tag_symbol,
    text,
)
from choreo.contracts.schema import (
    Absent,
    Array,
    Enumeration,
    Field,
    Fixed,
    Map,
    Named,
    Part,
    Primitive,
    Record,
    Reference,
    Schema,
    Union,
    spell,
    unqualified,
)
from choreo.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What an event class says of itself, and its schema does not."""

    topic: str
    version: int = 1
    key: str | None = None


def class_source(schema: Schema, declaration: Declaration) -> str:
    """Write the module of an event class whose schema is *schema*.

    Raises ConfigurationError for what no event class says.
    """
    root = schema.look_up(schema.root)
    if not isinstance(root, Record):
        raise ConfigurationError(f"an event is a record, and this is {spell(root)}")
    writing = _Writing(schema, root.name.rpartition(".")[0])
    classes = "\n\n\n".join(writing.classes(root, declaration))
    return f'"""Events by contract."""\n\n{imports(classes)}\n\n\n{classes}\n'


class _Writing:
    """One schema being written as classes; those that others name come first."""

    def __init__(self, schema: Schema, namespace: str) -> None:
        self._schema = schema
        self._namespace = namespace

    def classes(self, root: Record, declaration: Declaration) -> Iterator[str]:
        tags = {name for one in self._schema.types.values() for name in self._tags(one)}
        written: set[str] = set()
        # Whatever is named within a type was defined before it was done.
        for named in self._schema.types.values():
            self._check(named, written)
            written.add(named.name)
            if isinstance(named, Enumeration) and named.name not in tags:
                yield _enumeration(named)
            elif isinstance(named, Record) and named is not root:
                yield self._model(named, "BaseModel")
        told = [f"topic={text(declaration.topic)}"]
        told += [f"key={text(declaration.key)}"] if declaration.key else []
        told += [f"version={declaration.version}"] if declaration.version > 1 else []
        told += [f"name={text(root.name)}"] if self._namespace else []
        yield self._model(root, f"Event, {', '.join(told)}")

    def _check(self, named: Named, written: Collection[str]) -> None:
        check_class_name(named.name)
        if named.name.rpartition(".")[0] != self._namespace:
            raise ConfigurationError(
                f"{named.name} is in another namespace than the event, and a class has one only"
            )
        if isinstance(named, Fixed):
            raise ConfigurationError(
                f"no event class says {spell(named)}: its contract would have bytes there"
            )
        fields = named.fields if isinstance(named, Record) else ()
        if not {name for field in fields for name in _named_in(field.type)}.issubset(written):
            raise ConfigurationError(
                f"{named.name} contains itself, which no event may: give it an id (T5)"
            )

    def _tags(self, named: Named) -> Iterator[str]:
        """Tell the enums that only tell the models of a union apart."""
        for field in named.fields if isinstance(named, Record) else ():
            if isinstance(field.type, Reference):
                enum = self._schema.types[field.type.name]
                if tag_symbol(enum, unqualified(named.name), field.name):
                    yield enum.name

    def _model(self, record: Record, parents: str) -> str:
        name = unqualified(record.name)
        lines = [f"class {name}({parents}):"]
        if record.doc:
            lines.append(f"    {docstring(record.doc)}")
            lines += [""] if record.fields else []
        named = attributes(record, self._schema)
        lines += [f"    {self._field(field, name, named[field.name])}" for field in record.fields]
        if len(lines) == 1:
            lines.append("    pass")
        return "\n".join(lines)

    def _field(self, field: Field, owner: str, attribute: str) -> str:
        naming = (owner, field.name)
        annotation = self._annotation(field.type, naming)
        options = self._options(field, attribute)
        default = None
        if not isinstance(field.default, Absent):
            default = default_source(self._schema, field.type, field.default, naming)
        if options:
            first = [] if default is None else [f"default={default}"]
            return f"{attribute}: {annotation} = Field({', '.join([*first, *options])})"
        return f"{attribute}: {annotation}" + ("" if default is None else f" = {default}")

    def _options(self, field: Field, attribute: str) -> list[str]:
        options: list[str] = []
        if field.aliases:
            names = ", ".join(text(name) for name in (field.name, *field.aliases))
            options.append(f"validation_alias=AliasChoices({names})")
            options.append(f"serialization_alias={text(field.name)}")
        elif attribute != field.name:
            options.append(f"alias={text(field.name)}")
        if field.doc:
            options.append(f"description={text(field.doc)}")
        if field.deprecated:
            options.append(f"deprecated={text(field.deprecated)}")
        tag = self._discriminator(field.type)
        return [*options, f"discriminator={text(tag)}"] if tag else options

    def _annotation(self, part: Part, naming: tuple[str, str]) -> str:
        match part:
            case Primitive():
                return primitive(part)
            case Array():
                return f"tuple[{self._tagged(part.items, naming)}, ...]"
            case Map():
                return f"dict[str, {self._tagged(part.values, naming)}]"
            case Union():
                branches = [self._annotation(branch, naming) for branch in part.branches]
                some = [branch for branch in branches if branch != "None"]
                return " | ".join([*some, *(["None"] if "None" in branches else [])])
            case Reference():
                named = self._schema.types[part.name]
                tag = tag_symbol(named, *naming)
                return f"Literal[{text(tag)}]" if tag else unqualified(part.name)

    def _tagged(self, part: Part, naming: tuple[str, str]) -> str:
        """Write what a list or map holds, and how its records are told apart if there are many."""
        tag, annotation = self._discriminator(part), self._annotation(part, naming)
        return f"Annotated[{annotation}, Field(discriminator={text(tag)})]" if tag else annotation

    def _discriminator(self, part: Part) -> str | None:
        """Find the field that tells the records of a union apart."""
        if not isinstance(part, Union):
            return None
        found = [self._schema.look_up(branch) for branch in part.branches]
        records = [one for one in found if isinstance(one, Record)]
        if records[1:] == []:
            return None
        for name in [field.name for field in records[0].fields]:
            if all(self._has_tag(record, name) for record in records):
                return attributes(records[0], self._schema)[name]
        return None

    def _has_tag(self, record: Record, name: str) -> bool:
        return any(
            field.name == name
            and isinstance(field.type, Reference)
            and None
            is not tag_symbol(self._schema.types[field.type.name], unqualified(record.name), name)
            for field in record.fields
        )


def _named_in(part: Part) -> Iterator[str]:
    match part:
        case Array():
            yield from _named_in(part.items)
        case Map():
            yield from _named_in(part.values)
        case Union():
            for branch in part.branches:
                yield from _named_in(branch)
        case Reference():
            yield part.name
        case Primitive():
            pass


def _enumeration(enum: Enumeration) -> str:
    lines = [f"class {unqualified(enum.name)}(Enum):"]
    lines += [f"    {docstring(enum.doc)}", ""] if enum.doc else []
    lines += [f"    {member} = {text(symbol)}" for symbol, member in members(enum).items()]
    if enum.default is not None:
        lines += [
            "",
            "    @classmethod",
            "    def _missing_(cls, value: object) -> Self:",
            f"        return cls({text(enum.default)})",
        ]
    return "\n".join(lines)
