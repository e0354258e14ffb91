"""What a store's URL may say, and what nobody ever sees of it."""

import pytest

from choreo.errors import ConfigurationError
from choreo.store.opening import open_store
from choreo_sql import SqlSettings, SqlStore

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@host/database",
        f"postgresql://user:{SECRET}@host:5433/database?pool=3&ssl=require",
    ],
)
def test_a_password_is_shown_nowhere(url: str) -> None:
    """Trap T12."""
    store = open_store(url)

    assert store.url == url.partition("?")[0].replace(SECRET, "***")
    assert SECRET not in repr(store)
    assert SECRET not in str(vars(store)["settings"])


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("books.db", "no scheme"),
        ("oracle://host/x", "no store for oracle"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite://books.db", "three slashes|names no file"),
        (f"postgresql://u:{SECRET}@host/x?pool=0", "pool: .*greater"),
        (f"postgresql://u:{SECRET}@host/x?timeout=-1", "timeout"),
        (f"postgresql://u:{SECRET}@host:port/x", "cannot be read"),
        (f"memory://u:{SECRET}@host", "memory://name"),
        (
            "sqlite:///books.db?tiemout=3",
            "tiemout is no option: there are create, pool, together, timeout",
        ),
        (f"postgresql://u:{SECRET}@host/x?tiemout={SECRET}", "tiemout is no option"),
    ],
)
def test_what_is_wrong_with_a_url_is_told_without_its_password(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        open_store(url)

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_options_of_the_url_come_before_those_of_the_program() -> None:
    store = SqlStore("sqlite:///x.db?timeout=3", SqlSettings(pool=5, create=False))

    assert store.settings.timeout.total_seconds() == 3
    assert (store.settings.pool, store.settings.create) == (5, False)


def test_what_libpq_calls_sslmode_is_understood() -> None:
    url, _ = SqlSettings.parse("postgresql://host/database?sslmode=require")

    assert dict(url.query) == {"ssl": "require"}


def test_what_the_driver_knows_is_left_to_it() -> None:
    text = "postgresql://host/database?statement_cache_size=0&prepared_statement_cache_size=0"
    url, _ = SqlSettings.parse(text)

    assert set(url.query) == {"statement_cache_size", "prepared_statement_cache_size"}
