"""Packets by the thousand: read whole however they come, in order, beside those that paho reads."""

import itertools
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from choreo.message import Message
from choreo_mqtt.mapping import outgoing
from choreo_mqtt.paho_packets import Packets, Pipe
from choreo_mqtt.wire import Client, Incoming, Loss, Opening, Welcome


class Answer(NamedTuple):
    """A PUBACK."""

    mid: int
    code: int
    text: str


class Ear:
    """Hears what a connection hands on, and nothing else."""

    def __init__(self) -> None:
        self.heard: list[Incoming | Answer] = []

    def opened(self, client: Client, welcome: Welcome, /) -> None:
        raise NotImplementedError

    def received(self, incoming: Incoming, /) -> None:
        self.heard.append(incoming)

    def acknowledged(self, mid: int, code: int, text: str, /) -> None:
        self.heard.append(Answer(mid, code, text))

    def writable(self) -> None:
        raise NotImplementedError

    def closed(self, loss: Loss, /) -> None:
        raise NotImplementedError


def heard(pieces: Iterable[bytes]) -> tuple[list[Incoming | Answer], int]:
    """Tell what is handed on of a connection's bytes, and how often a server answered a ping."""
    ear, pipe, pongs, ended = Ear(), Pipe(), list[None](), list[object]()
    packets = Packets(pipe, ear, partial(pongs.append, None))

    def end(*facts: object) -> None:
        ended.append(facts)

    packets.on_disconnect = end
    opening = Opening(
        host="broker",
        port=1883,
        tls=None,
        username=None,
        password=None,
        client_id="ear",
        clean_start=True,
        session_expiry=timedelta(0),
        receive_maximum=10,
        keepalive=timedelta(seconds=60),
        timeout=timedelta(seconds=1),
    )
    packets.introduce(opening, Properties(PacketTypes.CONNECT))
    for piece in pieces:
        pipe.feed(piece)
        while pipe.waiting and not ended:
            packets.read_one()
    return ear.heard, len(pongs)


def _published(body: bytes, mid: int, *, retain: bool) -> bytes:
    sent = outgoing(Message("t", body, retain=retain))
    return b"".join((sent.head, mid.to_bytes(2), sent.properties, sent.body))


def _answered(mid: int, said: bytes) -> bytes:
    return bytes((0x40, 2 + len(said))) + mid.to_bytes(2) + said


MIDS = st.integers(1, 65_535)
BODIES = st.one_of(st.binary(max_size=20), st.binary(min_size=120, max_size=300))
SAID = st.sampled_from([b"", b"\x10", b"\x97\x00", b"\xee", b"\x87\x06\x1f\x00\x03why"])
PUBLISHED = st.builds(_published, BODIES, MIDS, retain=st.booleans())
ANSWERED = st.builds(_answered, MIDS, SAID)
PONG = st.just(b"\xd0\x00")


@given(st.lists(st.one_of(PUBLISHED, ANSWERED, PONG), max_size=8), st.data())
def test_packets_are_handed_on_in_order_however_they_are_cut(
    packets: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    edges = [0, *cuts, len(whole)]

    found, pongs = heard(whole[start:end] for start, end in itertools.pairwise(edges))

    assert [_facts(one) for one in found] == [
        _told(packet) for packet in packets if packet != b"\xd0\x00"
    ]
    assert pongs == packets.count(b"\xd0\x00")


def _facts(one: Incoming | Answer) -> int | tuple[int, int]:
    return one.mid if isinstance(one, Incoming) else (one.mid, one.code)


def _told(packet: bytes) -> int | tuple[int, int]:
    behind = packet[2 if packet[1] < 128 else 3 :]
    if packet[0] & 0xF0 == 0x30:
        return int.from_bytes(behind[3:5])
    return int.from_bytes(behind[:2]), behind[2] if len(behind) > 2 else 0


@pytest.mark.parametrize(
    "packet",
    [b"\x40\x01\x07", b"\x40\x00", b"\x32\x04\x00\x09t\x00", b"\x34\x06\x00\x01t\x00\x01\x00"],
)
def test_what_breaks_the_protocol_is_handed_on_to_nobody(packet: bytes) -> None:
    """M24: an answer without an id, a publish with a length beyond it, and QoS 2."""
    assert heard([packet, b"\xd0\x00"]) == ([], 0)
