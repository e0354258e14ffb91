"""A registry that is down, slow, broken or hostile: a named error each, and no hang."""

import json
import logging
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from choreo.clock import SystemClock
from choreo.errors import (
    ConfigurationError,
    IncompatibleSchema,
    NotRegistered,
    RegistryError,
    RegistryUnavailable,
)
from choreo.registry.local import LocalRegistry, Security
from choreo.registry.opening import open_registry
from choreo_registry import HttpRegistry
from choreo_registry.client import MAX_BYTES
from tests.local.certificates import Authority
from tests.registry.scripted import said, scripted

GOOD = said(200, b'{"schema": "\\"string\\""}')
DOWN = said(503, b'{"error_code": 50003, "message": "no leader"}')


class Hurried(SystemClock):
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_registry_that_fails_is_asked_again_after_a_while(status: int) -> None:
    clock = Hurried()

    async with (
        scripted(said(status, b"oops"), said(status, b""), GOOD) as script,
        HttpRegistry(script.url, clock=clock) as client,
    ):
        assert await client.by_id(1) == "string"

    assert len(script.asked) == 3
    assert 0 < clock.slept[0] < clock.slept[1]


async def test_a_registry_that_goes_on_failing_is_unavailable() -> None:
    async with (
        scripted(DOWN) as script,
        HttpRegistry(script.url, clock=Hurried()) as client,
    ):
        with pytest.raises(RegistryUnavailable, match="503: no leader"):
            await client.by_id(1)

    assert len(script.asked) == 3


async def test_a_registry_that_does_not_answer_is_given_up() -> None:
    async with (
        scripted(None) as script,
        HttpRegistry(f"{script.url}?timeout=0.1", clock=Hurried()) as client,
    ):
        with pytest.raises(RegistryUnavailable, match="does not answer"):
            await client.by_id(1)


async def test_an_answer_that_comes_by_the_drop_is_given_up() -> None:
    """The limit is for the whole call: a byte now and then does not move it."""
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{"

    async with (
        scripted(endless) as script,
        HttpRegistry(f"{script.url}?timeout=0.2", clock=Hurried()) as client,
    ):
        with pytest.raises(RegistryUnavailable):
            await client.by_id(1)


async def test_a_registry_where_nobody_listens_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async with HttpRegistry(f"http://127.0.0.1:{port}", clock=Hurried()) as client:
        with pytest.raises(RegistryUnavailable, match="ConnectError"):
            await client.by_id(1)


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (said(404, b'{"error_code": 40403, "message": "Schema not found"}'), NotRegistered, "404"),
        (said(409, b'{"message": "breaks"}'), IncompatibleSchema, "409: breaks"),
        (said(401, b""), RegistryError, "give user and password"),
        (said(403, b""), RegistryError, "give user and password"),
        (said(422, b'{"message": "bad"}'), RegistryError, "422: bad"),
        (said(302, b"", "location: http://127.0.0.1:1/"), RegistryError, "302"),
        (said(200, b"<html>log in</html>"), RegistryError, "no JSON: is it a registry"),
        (said(200, b"[" * 100_000), RegistryError, "no JSON"),
        (said(200, b"[]"), RegistryError, "without schemaType"),
        (said(200, b"{}"), RegistryError, "without schema"),
        (said(200, b'{"schema": 7}'), RegistryError, "without schema"),
        (said(200, b'{"schema": "{", "schemaType": "AVRO"}'), NotRegistered, "no Avro schema"),
        (said(200, b'{"schema": "x", "schemaType": "PROTOBUF"}'), NotRegistered, "not AVRO"),
        (said(200, b'{"schema": "1", "references": {"a": 1}}'), RegistryError, "references"),
        (said(200, b'{"schema": "' + b"x" * MAX_BYTES), RegistryError, "more than"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", RegistryUnavailable, "does not answer"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_a_named_error(
    answer: bytes, error: type[RegistryError], says: str
) -> None:
    async with (
        scripted(answer) as script,
        HttpRegistry(script.url, clock=Hurried()) as client,
    ):
        with pytest.raises(error, match=says) as caught:
            await client.by_id(1)

    assert type(caught.value) is error


async def test_references_in_a_circle_and_without_end_come_to_an_end() -> None:
    circle = {
        "schema": json.dumps({"type": "array", "items": "a.B"}),
        "id": 1,
        "version": 1,
        "references": [{"name": f"a.{one}", "subject": f"{one}", "version": 1} for one in "BC"],
    }
    async with (
        scripted(said(200, json.dumps(circle).encode())) as script,
        HttpRegistry(script.url) as client,
    ):
        await client.by_id(1)

    assert len(script.asked) == 3


async def test_what_a_registry_says_moves_no_line_of_the_log() -> None:
    """T4: its message is text from outside."""
    evil = said(422, json.dumps({"message": "a\nb\x1b[2J" + "x" * 999}).encode())

    async with scripted(evil) as script, HttpRegistry(script.url) as client:
        with pytest.raises(RegistryError) as caught:
            await client.by_id(1)

    assert r"a\nb\x1b[2J" in str(caught.value)
    assert len(str(caught.value)) < 500


# ── who may ask, and over what ────────────────────────────────────────────────────────────────


@pytest.fixture(name="secured", scope="module")
def _secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalRegistry, Path]]:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    certificate = authority.sign("registry").both
    security = Security(user="ann", password="p@ss/word", certificate=certificate)
    with LocalRegistry(security=security) as registry:
        yield registry, authority.certificate


async def test_user_and_password_of_the_url_are_sent_over_tls(
    secured: tuple[LocalRegistry, Path],
) -> None:
    registry, authority = secured
    url = registry.url.replace("https://", "https://ann:p%40ss%2Fword@")

    async with HttpRegistry(f"{url}?cafile={authority}") as client:
        assert await client.subjects() == []
        assert client.url == registry.url


async def test_a_wrong_password_is_told_without_telling_it(
    secured: tuple[LocalRegistry, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """T12."""
    registry, authority = secured
    url = registry.url.replace("https://", "https://ann:canary@")

    with caplog.at_level(logging.DEBUG):
        async with HttpRegistry(f"{url}?cafile={authority}") as client:
            with pytest.raises(RegistryError, match=r"401.*give user and password") as caught:
                await client.subjects()
            shown = f"{caught.value} {caplog.text} {client._settings!r}"

    assert "canary" not in shown


async def test_a_certificate_of_nobody_we_trust_is_refused(
    secured: tuple[LocalRegistry, Path],
) -> None:
    async with HttpRegistry(secured[0].url, clock=Hurried()) as client:
        with pytest.raises(RegistryUnavailable, match="ConnectError"):
            await client.subjects()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("registry:8081", "no registry for registry|write http"),
        ("ftp://canary@host", "no registry for ftp"),
        ("http://", "write http://host:8081"),
        ("http://host:canary", "cannot be read"),
        ("http://host#canary", "fragment"),
        ("http://host?colour=red", "no option 'colour'"),
        ("http://host?timeout=5&timeout=6", "given twice"),
        ("http://host?timeout=soon", "give seconds"),
        ("http://host?timeout=nan", "give seconds"),
        ("http://host?cafile=x", "for https:// only"),
        ("https://host?cafile=/nowhere.pem", "cannot be used"),
    ],
)
def test_a_url_that_cannot_work_is_refused_at_once(url: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        open_registry(url)


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(RegistryError, match="not open"):
        await HttpRegistry("http://127.0.0.1:1").subjects()


def test_a_call_has_at_most_the_time_that_its_url_gives() -> None:
    assert HttpRegistry("http://h?timeout=2.5")._settings.timeout == timedelta(seconds=2.5)
