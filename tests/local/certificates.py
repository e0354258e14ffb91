"""A certificate authority for one test run, made by openssl and forgotten afterwards."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.local.process import AbsentError

_EXTENSIONS = """\
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[party]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key: in two files for most, in one for the JVM."""

    chain: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates for loopback; clients trust it by its file *certificate*."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            raise AbsentError("no TLS: no 'openssl' on the PATH (Debian: openssl)")
        self._folder = folder
        self._extensions = folder / "extensions.cnf"
        self._extensions.write_text(_EXTENSIONS)
        self.certificate = folder / "authority.pem"
        self._key = self._new_key("authority")
        self._certify("authority", "authority", ["-key", str(self._key), "-x509"])

    def sign(self, name: str) -> Certificate:
        """Make a key and a certificate for *name* on loopback, good for server and client."""
        key = self._new_key(name)
        signed_by = ["-CA", str(self.certificate), "-CAkey", str(self._key), "-key", str(key)]
        chain = self._certify(name, "party", ["-x509", *signed_by])
        both = self._folder / f"{name}-both.pem"
        both.write_text(key.read_text() + chain.read_text())
        return Certificate(chain, key, both)

    def _new_key(self, name: str) -> Path:
        key = self._folder / f"{name}-key.pem"
        curve = ["-pkeyopt", "ec_paramgen_curve:P-256"]
        _openssl("genpkey", "-algorithm", "EC", *curve, "-out", str(key))
        return key

    def _certify(self, name: str, section: str, signed_by: list[str]) -> Path:
        chain = self._folder / f"{name}.pem"
        subject = ["-subj", f"/O=choreo tests/CN={name}", "-days", "2"]
        extensions = ["-config", str(self._extensions), "-extensions", section]
        _openssl("req", "-new", *signed_by, *subject, *extensions, "-out", str(chain))
        return chain


def _openssl(*arguments: str) -> None:
    subprocess.run(
        ["openssl", *arguments], check=True, capture_output=True, text=True, timeout=30.0
    )
