"""Judge a run of services: what was published, what the database and the broker say, what is wrong.

    evidence = Evidence(subscribers=…, entries=read_entries(files), effects=rows, log=records, …)
    verdict = check(evidence, context="seed 17")
    print(verdict)
    sys.exit(verdict.code)

Pure: it reads no clock, no broker and no database, so that one checker judges real and simulated
runs. Every property is a plain function over the evidence.
"""

from choreo.testing.checker.entries import Entry, Kind, Scribe, read_entries
from choreo.testing.checker.evidence import (
    Bounds,
    Effect,
    Evidence,
    Letter,
    Logged,
    Sight,
    Subscriber,
)
from choreo.testing.checker.verdict import PROPERTIES, Code, Verdict, check
from choreo.testing.checker.violation import Property, Violation

__all__ = [
    "PROPERTIES",
    "Bounds",
    "Code",
    "Effect",
    "Entry",
    "Evidence",
    "Kind",
    "Letter",
    "Logged",
    "Property",
    "Scribe",
    "Sight",
    "Subscriber",
    "Verdict",
    "Violation",
    "check",
    "read_entries",
]
