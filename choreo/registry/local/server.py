"""A registry's HTTP: one thread for a connection, requests and bodies bounded."""

import json
import logging
import ssl
import sys
from base64 import b64encode
from dataclasses import dataclass
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue

from choreo.registry.local.calls import answer
from choreo.registry.local.refusal import Refusal
from choreo.registry.local.shelf import Shelf

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
MAX_BODY = 4 * 1024 * 1024
IDLE = 30.0
"""Seconds after which a connection on which nothing comes is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """Who may ask, and how the way there is kept."""

    user: str | None = None
    password: str = ""
    certificate: Path | None = None
    """Certificate and key in one PEM file; None serves plain HTTP."""

    @property
    def header(self) -> str | None:
        """What the header Authorization must say; None if nothing."""
        if self.user is None:
            return None
        return "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode()


class LocalRegistry:
    """A schema registry within this process, while its block is open: ``url`` tells where."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        database: Path | None = None,
        security: Security | None = None,
    ) -> None:
        """Listen at *port*, any that is free for 0; keep schemas in *database*, or in memory."""
        self._security = security or Security()
        self.shelf = Shelf(database)
        kind = type("Bound", (_Handler,), {"shelf": self.shelf, "expected": self._security.header})
        self._server = _Server((host, port), kind)
        if self._security.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._security.certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.05,), name="choreo registry", daemon=True
        )

    @property
    def url(self) -> str:
        """Where it is, without user and password."""
        scheme = "http" if self._security.certificate is None else "https"
        host, port = self._server.server_address[:2]
        return f"{scheme}://{host if isinstance(host, str) else host.decode()}:{port}"

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and close what is open."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.shelf.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 -- the library's
        """Say it in the log: a client that leaves is no event for stderr."""
        logger.debug("a connection of %s ended", client_address, exc_info=sys.exc_info())


class _Handler(BaseHTTPRequestHandler):
    shelf: ClassVar[Shelf]
    expected: ClassVar[str | None]
    protocol_version = "HTTP/1.1"
    timeout = IDLE

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_PUT(self) -> None:
        self._respond()

    def _respond(self) -> None:
        try:
            body = self._body()
            self._authorize()
            parts = [unquote(one) for one in urlsplit(self.path).path.strip("/").split("/")]
            self._send(200, answer(self.shelf, self.command, tuple(parts), body))
        except Refusal as refusal:
            self._send(refusal.status, {"error_code": refusal.code, "message": refusal.message})

    def _body(self) -> bytes:
        told = self.headers.get("content-length", "0")
        if not (told.isascii() and told.isdecimal()) or int(told) > MAX_BODY:
            self.close_connection = True
            raise Refusal(413, 413, f"more than {MAX_BODY} bytes, or no length")
        return self.rfile.read(int(told))

    def _authorize(self) -> None:
        if self.expected is None:
            return
        given = self.headers.get("authorization", "")
        if not compare_digest(given.encode(), self.expected.encode()):
            raise Refusal(401, 40101, "HTTP 401 Unauthorized")

    def _send(self, status: int, said: JsonValue) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", MEDIA_TYPE)
        self.send_header("content-length", str(len(body)))
        if status == 401:  # noqa: PLR2004 -- HTTP's own
            self.send_header("www-authenticate", 'Basic realm="choreo"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        logger.debug(format, *args)
