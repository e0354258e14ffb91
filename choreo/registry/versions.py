"""A contract among the versions of a subject: by its very text, or by what it says."""

from collections.abc import AsyncGenerator

from choreo.codec.schema_folder import Contract, contract
from choreo.contracts.canonical import canonical
from choreo.errors import ConfigurationError, NotRegistered
from choreo.registry.port import Registry

MAX_VERSIONS = 100
"""Versions of a subject that are looked through, the latest ones."""


async def latest_versions(
    registry: Registry, subject: str
) -> AsyncGenerator[tuple[int, Contract], None]:
    """Read the versions of *subject* that are Avro, with their ids, the latest first.

    Raises NotRegistered if there is no such subject.
    """
    listed = await registry.versions(subject)
    for version in sorted(listed, reverse=True)[:MAX_VERSIONS]:
        try:
            found = await registry.by_version(subject, version)
            kept = contract(found.schema, f"version {version} of {subject}")
        except (NotRegistered, ConfigurationError):
            continue  # of another kind, or gone meanwhile: another version may be the one
        yield found.id, kept


async def find_id(registry: Registry, subject: str, committed: Contract) -> int:
    """Return the id of a contract, or of a version that says the same in other words.

    A registry looks for the very text: Apicurio for each space of it, Confluent's for its words for
    people. Raises NotRegistered where no version says the same.
    """
    try:
        return (await registry.find(subject, committed.schema)).id
    except NotRegistered:
        async for identity, kept in latest_versions(registry, subject):
            if canonical(kept.schema) == canonical(committed.schema):
                return identity
        raise


async def register_id(registry: Registry, subject: str, committed: Contract) -> int:
    """Return the id of a contract, registered unless a version has the same words, too.

    Raises IncompatibleSchema if the subject's compatibility forbids it.
    """
    try:
        return (await registry.find(subject, committed.schema)).id
    except NotRegistered:
        pass
    try:
        async for identity, kept in latest_versions(registry, subject):
            if kept.digest == committed.digest:
                return identity
    except NotRegistered:
        pass  # the first version of its subject
    return await registry.register(subject, committed.schema)
