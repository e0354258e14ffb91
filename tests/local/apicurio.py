"""Apicurio Registry on loopback: a schema registry whose code nobody here wrote."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from tests.local.apicurio_program import apicurio_program
from tests.local.process import LOOPBACK, Process, free_ports, wait_until
from tests.patience import patient

START_BUDGET = 90.0
_HEAP = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""It serves a few hundred calls: what it would win by being compiled well, it never earns."""


class Apicurio(Process):
    """A registry that keeps its schemas in memory, and forgets them when it ends."""

    def __init__(self, folder: Path, program: Path) -> None:
        self.port = free_ports(1)[0]
        options = {
            "java.io.tmpdir": str(folder),
            "quarkus.http.host": LOOPBACK,
            "quarkus.http.port": str(self.port),
            "quarkus.http.access-log.enabled": "false",
        }
        told = (f"-D{name}={value}" for name, value in options.items())
        super().__init__(["java", *_HEAP, *told, "-jar", str(program)], log=folder / "apicurio.log")

    @classmethod
    @contextmanager
    def running(cls) -> Generator[Self]:
        """Start a fresh registry that answers, and take it away afterwards."""
        program = apicurio_program()
        with tempfile.TemporaryDirectory(prefix="choreo-apicurio-") as scratch:
            registry = cls(Path(scratch), program)
            try:
                registry.start()
                yield registry
            finally:
                registry.kill()

    @property
    def url(self) -> str:
        """Where it serves the API that Confluent's clients speak."""
        return f"http://{LOOPBACK}:{self.port}/apis/ccompat/v7"

    def start(self) -> None:
        super().start()
        wait_until(self._answers, "Apicurio answered", within=patient(START_BUDGET), needs=[self])

    def _answers(self) -> bool:
        try:
            with build_opener(ProxyHandler({})).open(f"{self.url}/subjects", timeout=5.0) as answer:
                return bool(answer.status == 200)
        except (URLError, TimeoutError, ConnectionError):
            return False
