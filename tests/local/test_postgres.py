"""The PostgreSQL that tests start keeps what was committed."""

import asyncpg

from tests.conftest import StartPostgres
from tests.local import PostgresPart


async def test_it_answers(postgres: PostgresPart) -> None:
    connection = await asyncpg.connect(postgres.dsn)

    assert await connection.fetchval("SELECT 41 + 1") == 42

    await connection.close()


async def test_a_killed_server_comes_back_with_what_was_committed(
    postgres_server: StartPostgres,
) -> None:
    server = postgres_server({})
    connection = await asyncpg.connect(server.create_database("shop"))
    await connection.execute("CREATE TABLE orders AS SELECT 1 AS id")

    server.kill()
    server.start()

    connection.terminate()
    connection = await asyncpg.connect(server.dsn.replace("/postgres", "/shop"))
    assert await connection.fetchval("SELECT count(*) FROM orders") == 1
    await connection.close()
