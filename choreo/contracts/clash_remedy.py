"""What to do about two services that would not understand each other."""

from collections.abc import Mapping

from choreo.contracts.clash import Clash, Odds
from choreo.contracts.compatibility import Finding
from choreo.contracts.field_use import Use
from choreo.contracts.mode import Direction
from choreo.contracts.remedy import remedy, upcaster_stub
from choreo.contracts.resolution import Kind


def clash_remedy(one: Clash) -> str:
    """Tell the way out of one clash."""
    if isinstance(one.kind, Odds):
        older = one.kind is Odds.VERSION and one.version < one.reads
        text = _OLDER if older else _TEXTS[one.kind]
        return text.format(
            event=one.event,
            version=one.version,
            reader=one.reader,
            writer=one.writer,
            read=one.read,
            written=one.written,
        )
    if one.kind is Kind.DEFAULT and not is_read(one):
        return (
            f"nobody in {one.reader} reads {one.at}: give it a default in its class, or leave it "
            f"out there, and deploy {one.reader} first"
        )
    # The side that is newer is the one that changed.
    forward = one.version > one.reads
    return remedy(
        Finding(
            earlier=one.reads if forward else one.version,
            direction=Direction.FORWARD if forward else Direction.BACKWARD,
            kind=one.kind,
            path=(one.at,),
            was=one.read if forward else one.written,
            now=one.written if forward else one.read,
        )
    )


def is_read(one: Clash) -> bool:
    """Tell whether any handler reads the place, or may."""
    return any(each.found.use is not Use.TAKES for each in one.handlers)


def stub(one: Clash) -> str | None:
    """Write the beginning of an upcaster, where a class is to read an older version by one."""
    if one.version >= one.reads:
        return None
    fields = () if isinstance(one.kind, Odds) else (one.at.partition(".")[0].partition("[")[0],)
    return upcaster_stub(one.event.rpartition(".")[2], one.version, fields)


_OLDER = "register {event}.upcast(from_version={version}) in {reader}, or a handler of v{version}"
_TEXTS: Mapping[Odds, str] = {
    Odds.VERSION: "give {reader} a handler of v{version}, and deploy it first",
    Odds.COPY: (
        "give {reader} a copy of {event}/{version}.avsc, and deploy it first: it reads no newer "
        "version whose contract it has not"
    ),
    Odds.KEY: (
        "keep key={read!r} in {writer}, or have {reader} declare key={written!r}: events of one "
        "{read} come in any order now"
    ),
    Odds.SEQUENCE: (
        "keep sequence={read!r} in {writer}, or have {reader} declare sequence={written!r}"
    ),
    Odds.GONE: "keep {writer} emitting it until {reader} takes it no more",
}
