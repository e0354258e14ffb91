"""The client: calls with a time limit and tries, answers bounded, schemas kept for good.

Source: the REST API of Confluent's Schema Registry, which Karapace and Apicurio serve, too. An id
never changes its schema, so that each is asked for once.
"""

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from random import Random
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx2
from pydantic import JsonValue

from choreo.clock import Clock, SystemClock
from choreo.contracts.mode import Mode
from choreo.errors import NotRegistered, RegistryError, RegistryUnavailable
from choreo.registry.port import Registered, Registry
from choreo.registry.references import inlined
from choreo.retry import Retry
from choreo_registry import answers
from choreo_registry.settings import HttpSettings

T = TypeVar("T")
logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
TRIES = 3
MAX_BYTES = 4 * 1024 * 1024
"""Of one answer."""
MAX_SCHEMAS = 1000
MAX_REFERENCES = 64
"""Schemas that one schema may lead to."""
BACKOFF = Retry(attempts=TRIES)


class HttpRegistry:
    """A registry behind a URL, such as ``https://user:password@host:8081?cafile=ca.pem``.

    A path before the API's own, such as ``/apis/ccompat/v7``, belongs to the URL. Redirects are not
    followed and proxies of the environment not used: what answers is what was named.
    """

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        """Read *url*; raise ConfigurationError for one that cannot work."""
        self._settings = HttpSettings.read(url)
        self._clock = clock or SystemClock()
        self._random = Random()
        self._client: httpx2.AsyncClient | None = None
        self._schemas: OrderedDict[str, JsonValue] = OrderedDict()
        self._versions: OrderedDict[str, Registered] = OrderedDict()

    @property
    def url(self) -> str:
        """Where it is, without what is secret."""
        return self._settings.url

    async def __aenter__(self) -> Self:
        """Make the client; it connects when it is asked something."""
        settings = self._settings
        user = settings.user
        self._client = httpx2.AsyncClient(
            auth=None if user is None else httpx2.BasicAuth(user, settings.password),
            headers={"accept": f"{MEDIA_TYPE}, application/json", "content-type": MEDIA_TYPE},
            timeout=settings.timeout.total_seconds(),
            verify=settings.trust or False,
            follow_redirects=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def register(self, subject: str, schema: JsonValue) -> int:
        """Return the id of *schema* in *subject*, registered if need be."""
        path = f"/subjects/{_part(subject)}/versions"
        return answers.number(await self._call("POST", path, _body(schema)), "id", self._at(path))

    async def find(self, subject: str, schema: JsonValue) -> Registered:
        """Tell under which id and version *schema* is registered in *subject*."""
        path = f"/subjects/{_part(subject)}"
        answer, where = await self._call("POST", path, _body(schema)), self._at(path)
        return Registered(
            subject=subject,
            id=answers.number(answer, "id", where),
            version=answers.number(answer, "version", where),
            schema=schema,
        )

    async def by_id(self, identity: int) -> JsonValue:
        """Return the Avro schema with this id."""
        return await self._schema(f"/schemas/ids/{identity}")

    async def by_guid(self, guid: UUID) -> JsonValue:
        """Return the Avro schema with this GUID."""
        return await self._schema(f"/schemas/guids/{guid}")

    async def by_version(self, subject: str, version: int | None = None) -> Registered:
        """Return one version of a subject, the latest if none is named."""
        path = f"/subjects/{_part(subject)}/versions/{version or 'latest'}"
        if path in self._versions:
            return self._versions[path]
        answer, where = await self._call("GET", path), self._at(path)
        found = Registered(
            subject=subject,
            id=answers.number(answer, "id", where),
            version=answers.number(answer, "version", where),
            schema=await self._whole(answer, where),
        )
        if version is not None:
            # Whoever makes fingerprints up has each version asked for once, and not once for each.
            _keep(self._versions, path, found)
        return found

    async def subjects(self) -> Sequence[str]:
        """List the subjects."""
        return answers.names(await self._call("GET", "/subjects"), self._at("/subjects"))

    async def versions(self, subject: str) -> Sequence[int]:
        """List the versions of a subject, oldest first."""
        path = f"/subjects/{_part(subject)}/versions"
        return answers.numbers(await self._call("GET", path), self._at(path))

    async def incompatibilities(
        self, subject: str, schema: JsonValue, version: int | None = None
    ) -> Sequence[str] | None:
        """Tell why *schema* may not follow in *subject*; None if it may."""
        path = f"/compatibility/subjects/{_part(subject)}/versions/{version or 'latest'}"
        answer, where = await self._call("POST", f"{path}?verbose=true", _body(schema)), path
        if answers.member(answer, "is_compatible", where) is True:
            return None
        said = answers.member(answer, "messages", where)
        return answers.names(said, where) if said else ["the registry does not say why"]

    async def mode(self, subject: str | None = None) -> Mode:
        """Tell the compatibility that is asked of a subject, or of those with none of their own."""
        path = "/config" if subject is None else f"/config/{_part(subject)}"
        return answers.mode(await self._call("GET", path), self._at(path))

    async def set_mode(self, mode: Mode, subject: str | None = None) -> None:
        """Ask for another compatibility."""
        path = "/config" if subject is None else f"/config/{_part(subject)}"
        await self._call("PUT", path, {"compatibility": mode.upper()})

    # -- within -------------------------------------------------------------------------------

    async def _schema(self, path: str) -> JsonValue:
        """Return what never changes, from memory if it was asked for before."""
        if path in self._schemas:
            self._schemas.move_to_end(path)
            return self._schemas[path]
        found = await self._whole(await self._call("GET", path), self._at(path))
        _keep(self._schemas, path, found)
        return found

    async def _whole(self, answer: JsonValue, where: str) -> JsonValue:
        """Put into a schema what it refers to, and what that refers to."""
        found = answers.schema(answer, where)
        referred: dict[str, JsonValue] = {}
        pending = list(answers.references(answer, where))
        while pending:
            name, subject, version = pending.pop()
            if name in referred:
                continue
            if len(referred) >= MAX_REFERENCES:
                raise NotRegistered(f"{where} refers to more than {MAX_REFERENCES} schemas")
            path = f"/subjects/{_part(subject)}/versions/{version}"
            one = await self._call("GET", path)
            referred[name] = answers.schema(one, self._at(path))
            pending += answers.references(one, self._at(path))
        return inlined(found, referred) if referred else found

    def _at(self, path: str) -> str:
        return f"the registry {self.url}{path}"

    async def _call(
        self, method: str, path: str, body: Mapping[str, JsonValue] | None = None
    ) -> JsonValue:
        """Call until there is an answer that counts, at most so many times."""
        tries = 0
        while True:
            tries += 1
            try:
                return await self._try(method, path, body)
            except RegistryUnavailable as error:
                if tries >= TRIES:
                    raise
                names = {"registry": self.url, "path": path, "error": str(error)}
                logger.info("registry is asked again", extra=names)
            await self._clock.sleep(BACKOFF.backoff(tries, self._random))

    async def _try(self, method: str, path: str, body: Mapping[str, JsonValue] | None) -> JsonValue:
        if self._client is None:
            raise RegistryError(f"the registry {self.url} is not open: use 'async with'")
        content = None if body is None else json.dumps(body).encode()
        where = self._at(path)
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                request = self._client.build_request(method, self.url + path, content=content)
                status, said = await self._bounded(request, where)
        except (httpx2.TransportError, TimeoutError) as error:
            kind = type(error).__name__
            raise RegistryUnavailable(f"{where} does not answer ({kind})") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise RegistryError(f"{where} cannot be asked ({type(error).__name__})") from error
        if not 200 <= status < 300:  # noqa: PLR2004 -- HTTP's own
            raise answers.failure(where, status, said)
        return answers.read(where, said)

    async def _bounded(self, request: httpx2.Request, where: str) -> tuple[int, bytes]:
        """Read an answer, but not one without end."""
        assert self._client is not None  # noqa: S101 -- its caller has looked
        response = await self._client.send(request, stream=True)
        try:
            said = bytearray()
            async for part in response.aiter_bytes():
                said += part
                if len(said) > MAX_BYTES:
                    raise RegistryError(f"{where} answered more than {MAX_BYTES} bytes")
        finally:
            await response.aclose()
        return response.status_code, bytes(said)


def _keep(known: "OrderedDict[str, T]", path: str, found: T) -> None:
    known[path] = found
    if len(known) > MAX_SCHEMAS:
        known.popitem(last=False)


def _part(name: str) -> str:
    """Write a name as one part of a path."""
    return quote(name, safe="")


def _body(schema: JsonValue) -> dict[str, JsonValue]:
    text = json.dumps(schema, separators=(",", ":"), ensure_ascii=False)
    return {"schema": text, "schemaType": "AVRO"}


_: type[Registry] = HttpRegistry
