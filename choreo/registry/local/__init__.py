"""A schema registry in this process, for tests and local runs; not for production.

It answers the calls that clients of Confluent-compatible registries make, on loopback, and keeps
what it is given in SQLite: in memory, or in a file.
"""

from choreo.registry.local.server import LocalRegistry, Security

__all__ = ["LocalRegistry", "Security"]
