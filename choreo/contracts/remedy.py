"""What to do about a change that breaks somebody."""

from choreo.contracts.compatibility import Finding
from choreo.contracts.mode import Direction
from choreo.contracts.resolution import Kind


def remedy(one: Finding) -> str:
    """Tell the way out of one finding."""
    backward = one.direction is Direction.BACKWARD
    return (_BACKWARD if backward else _FORWARD)[one.kind].format(
        at=one.at, was=one.was, now=one.now, version=one.earlier
    )


def upcaster_stub(event: str, version: int, changed: tuple[str, ...]) -> str:
    """Write the beginning of what turns *version* of *event* into the next one."""
    fields = "".join(f', "{name}": ...' for name in changed)
    return (
        f"@{event}.upcast(from_version={version})\n"
        f"def from_v{version}(old: dict[str, Any]) -> dict[str, Any]:\n"
        f"    return {{**old{fields}}}"
    )


_BESIDE = "add a field beside {at} and leave it as it was, or write an upcaster from v{version}"
_UNTIL = "leave {at} as it was and add a field beside it, until nobody reads v{version}"
_NAMED = "keep the name {was}: aliases help those who read, and only those"
_ALIAS = "give {at} another name than {was}"

_BACKWARD = {
    Kind.TYPE: _BESIDE,
    Kind.NAME: _NAMED,
    Kind.DEFAULT: (
        "give {at} a default; or, if it had another name, that one by "
        'validation_alias=AliasChoices("{at}", …)'
    ),
    Kind.SYMBOL: "keep the symbols {was}, or say by _missing_ what is taken for them",
    Kind.BRANCH: "keep {was} among what {at} can be",
    Kind.SIZE: _BESIDE,
    Kind.MEANING: _BESIDE,
    Kind.AMBIGUOUS: _ALIAS,
}
_FORWARD = {
    Kind.TYPE: _UNTIL,
    Kind.NAME: _NAMED,
    Kind.DEFAULT: (
        "keep {at}, with Field(deprecated=…), until nobody reads v{version}; what has a default "
        "may go at once"
    ),
    Kind.SYMBOL: (
        "deploy those who read first (--mode backward_transitive), or give the enum a default by "
        "_missing_ a version before a symbol is added"
    ),
    Kind.BRANCH: "deploy those who read first (--mode backward_transitive), or " + _UNTIL,
    Kind.SIZE: _UNTIL,
    Kind.MEANING: _UNTIL,
    Kind.AMBIGUOUS: _ALIAS,
}
