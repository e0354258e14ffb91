"""Values in texts mean to PostgreSQL what they mean here, whatever is in them."""

from datetime import UTC, datetime

import asyncpg
import pytest

from choreo_sql.literals import array, constant
from tests.local.parts import PostgresPart

TEXTS = (
    "",
    "it's",
    'a "quoted" one',
    "back\\slash",
    "{}",
    "a,b",
    "NULL",
    " edge ",
    "\\x00",
    "ü\n☃",
)
BYTES = (b"", b"\0\xff", b"'\"\\", bytes(range(256)))


@pytest.mark.parametrize("setting", ["on", "off"])
async def test_constants_are_read_as_they_were_written(
    postgres: PostgresPart, setting: str
) -> None:
    server = await asyncpg.connect(postgres.dsn)
    try:
        await server.execute(f"SET standard_conforming_strings = {setting}")
        for value, kind in [
            *((text, "text") for text in TEXTS),
            *((data, "bytea") for data in BYTES),
            *((number, "bigint") for number in (0, -7, 2**62)),
            *((flag, "boolean") for flag in (True, False)),
            (None, "text"),
        ]:
            assert await server.fetchval(f"SELECT {constant(value)}::{kind}") == value
    finally:
        await server.close()


async def test_a_nul_in_an_array_is_refused_by_the_server(postgres: PostgresPart) -> None:
    server = await asyncpg.connect(postgres.dsn)
    try:
        with pytest.raises(asyncpg.CharacterNotInRepertoireError):
            await server.fetchval("SELECT CAST($1::text AS text[])", array(["a\0b", "c"]))
    finally:
        await server.close()


async def test_arrays_are_read_as_they_were_written(postgres: PostgresPart) -> None:
    server = await asyncpg.connect(postgres.dsn)
    try:
        for values, kind in [
            (TEXTS, "text"),
            ((*TEXTS, None), "text"),
            ((None, None), "text"),
            (("same", "same"), "text"),
            (BYTES, "bytea"),
            ((*BYTES, None), "bytea"),
            ((1, -3, 2**62), "bigint"),
            ((1, None, -3), "bigint"),
            ((True, False), "boolean"),
            ((True, False, None), "boolean"),
            ((), "integer"),
        ]:
            found = await server.fetchval(f"SELECT CAST($1::text AS {kind}[])", array(values))

            assert tuple(found) == values
    finally:
        await server.close()


def test_what_postgresql_cannot_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        constant("a\0b")
    with pytest.raises(TypeError, match="datetime"):
        array([datetime.now(UTC)])
