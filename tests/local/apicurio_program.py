"""Apicurio Registry as a program from Maven Central, fetched once into the user's cache."""

from pathlib import Path

from tests.local.maven import fetched

APICURIO_VERSION = "3.0.9"
"""The last line of versions that Java 17 runs."""

_ARTIFACT = f"io.apicurio:apicurio-registry-app:{APICURIO_VERSION}:tar.gz:all"


def apicurio_program() -> Path:
    """Return the jar that runs it, beside its libraries; fetch 110 MB when it is not cached."""
    arguments = (f"-Dartifact={_ARTIFACT}", "dependency:unpack")
    home = fetched("schema registry", f"apicurio-registry-{APICURIO_VERSION}", arguments)
    return home / f"apicurio-registry-app-{APICURIO_VERSION}-runner.jar"
