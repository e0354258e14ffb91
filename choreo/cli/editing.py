"""``choreo dlq edit``: one payload, corrected by hand, checked, and handled as a new event."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from choreo.broker import Capabilities
from choreo.cli import letters, target
from choreo.cli.editor import edited
from choreo.cli.failure import InvalidInput, NothingFound
from choreo.cli.letters import Request
from choreo.cli.publishing import parse
from choreo.cli.record import decoded
from choreo.cli.replaying import confirm as asked
from choreo.cli.screen import out, print_json
from choreo.cli.stdin import Line
from choreo.codec import Payload
from choreo.desk.case import Case, CaseReader, restored
from choreo.desk.correction import Correction, corrected
from choreo.desk.ruling import Wish, objection
from choreo.envelope import Envelope
from choreo.environment import Environment
from choreo.errors import ConfigurationError, DecodeError
from choreo.event import Event, event_type, partition_key
from choreo.formats import formats
from choreo.message import Delivery
from choreo.registry.port import fetching
from choreo.service import Service
from choreo.upcast import chains

STDIN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a service writes one class of events."""

    event: type[Event]
    encode: Callable[[Event], Payload]
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One letter that is about to be corrected."""

    case: Case
    letter: Delivery
    envelope: Envelope
    payload: str
    """As it is, for people."""
    form: Form | None
    """How its service writes such events; None where the service was not named."""
    capabilities: Capabilities


async def draft(request: Request, named: str | None, *, again: bool) -> Draft:
    """Find the letter and its event class; raise NothingFound or InvalidInput if it cannot be."""
    if request.service is None:
        raise typer.BadParameter("only a --service's own letters can be edited")
    async with letters.desk(request) as desk:
        found = request.selection.of(await desk.survey())
        if len(found) > 1:
            ids = ", ".join(case.id for case in found)
            raise typer.BadParameter(f"{len(found)} letters are meant, name one: {ids}")
        stored = await desk.letters(found)
        if not found or found[0].id not in stored:
            raise NothingFound(f"no such dead letter of {request.name}")
        (case,) = found
        why = objection(case, Wish(again=again))
        if why is not None:
            raise InvalidInput(f"letter {case.id}: {why}")
        letter = stored[case.id]
        envelope = CaseReader(desk.capabilities).envelope(restored(letter, case.told))
        if envelope is None:
            raise InvalidInput(f"letter {case.id} holds no CloudEvent to keep: publish it anew")
        form, payload = None, _plain(envelope)
        if named is not None:
            service, event = _event(named, case)
            settings = service.settings(broker=request.broker)
            async with formats(settings, Environment(), [event], hasty=True) as codec:
                form = Form(
                    event=event, encode=codec.encoder(event), content_type=codec.content_types[0]
                )
                decode = codec.decoder(event)
                payload = await fetching(partial(_shown, envelope, event, decode))
        return Draft(
            case=case,
            letter=letter,
            envelope=envelope,
            payload=payload,
            form=form,
            capabilities=desk.capabilities,
        )


def text(draft: Draft, data: str | None) -> str:
    """Take the new payload from a file, from stdin or from an editor."""
    try:
        if data == STDIN:
            return sys.stdin.read()
        if data is not None:
            return Path(data).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--data {data}: {error}") from error
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can edit here: give --data")
    changed = edited(draft.payload, "payload.json")
    if changed.strip() == draft.payload.strip():
        raise InvalidInput("nothing was changed")
    return changed


def correction(draft: Draft, text: str) -> Correction:
    """Make the corrected event; raise InvalidInput if its class, or JSON, does not take it."""
    old = draft.envelope
    if draft.form is None:
        amended = replace(old, data=_json(draft, text))
    else:
        event = parse(draft.form.event, Line(1, text.encode()), single=True)
        payload = draft.form.encode(event)
        declared = event_type(draft.form.event)
        amended = replace(
            old,
            type=declared.type,
            data=payload.data,
            dataschema=payload.dataschema,
            content_type=draft.form.content_type,
            key=partition_key(event) if declared.key is not None else old.key,
        )
    return corrected(draft.case, draft.letter, old, amended, draft.capabilities)


def confirm(request: Request, draft: Draft, correction: Correction, *, yes: bool) -> None:
    """Ask before the corrected event is handled."""
    handler = draft.case.told.handler or "all handlers"
    what = f"event {correction.event_id} in place of {draft.envelope.id}"
    asked(f"Give {what} to {handler} of {request.name}?", yes=yes)


async def send(request: Request, draft: Draft, correction: Correction) -> None:
    """Have the corrected event handled, and record that it stands for the old one."""
    async with letters.desk(request) as desk:
        await desk.correct(draft.case, correction)
    if request.json:
        print_json(
            {
                "letter": draft.case.id,
                "outcome": "edited",
                "event_id": correction.event_id,
                "causation_id": draft.envelope.id,
            }
        )
    else:
        out().print(f"event {correction.event_id} was sent, caused by {draft.envelope.id}")


def _event(named: str, case: Case) -> tuple[Service[Any], type[Event]]:
    """Find the service, and the class that its handler which failed takes."""
    (service,) = target.services([named])
    kinds = {
        plan.event
        for plan in service.plans
        if case.told.handler in {None, plan.id} and _reads(plan.event, case.kind)
    }
    if not kinds:
        handler = case.told.handler or "that takes it"
        raise ConfigurationError(f"{named} has no handler {handler} of {case.kind}")
    return service, kinds.pop()


def _reads(event: type[Event], kind: str | None) -> bool:
    """Say whether *event* is read from letters of *kind*, which may be an older version of it."""
    return kind == event_type(event).type or kind in chains(event)


def _plain(envelope: Envelope) -> str:
    """Write the payload so that people can edit it, as far as that takes no class."""
    encoding, value = decoded(envelope.data, envelope.content_type)
    if encoding == "json":
        return json.dumps(value, ensure_ascii=False, indent=2)
    return str(value) if encoding == "text" else ""


def _shown(envelope: Envelope, event: type[Event], decode: Callable[[Envelope], Event]) -> str:
    """Write the payload so that people can edit it: as it is if it is JSON, else as its class.

    One of an older version is written as what its class has become, if that can be done.
    """
    json_text = decoded(envelope.data, envelope.content_type)[0] == "json"
    if json_text and envelope.type == event_type(event).type:
        return _plain(envelope)
    try:
        return decode(envelope).model_dump_json(indent=2)
    except (DecodeError, ValidationError):
        return _plain(envelope) if json_text else "{}"


def _json(draft: Draft, text: str) -> bytes:
    """Check a payload of which no class is known."""
    kind = draft.envelope.content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise InvalidInput(f"the payload is {kind}, not JSON: name its service with --target")
    try:
        json.loads(text, parse_constant=_refused)
    except ValueError as error:
        raise InvalidInput(f"the payload is no JSON: {error}") from error
    return text.strip().encode()


def _refused(constant: str) -> None:
    """Refuse what Python takes for JSON, and nobody else (RFC 8259, section 6)."""
    raise ValueError(f"{constant} is no value of JSON")
