"""Stores by the scheme of their URL: the embedded ones, and whoever registers another."""

from typing import Any, Protocol
from urllib.parse import urlsplit

from choreo.errors import ConfigurationError
from choreo.plugins import installed
from choreo.store.port import Store

GROUP = "choreo.stores"
EXTRAS = {"sqlite": "sqlite", "postgresql": "postgres"}
"""What to install for a scheme that choreo brings."""


class StoreFactory(Protocol):
    """What an entry point of the group ``choreo.stores`` loads: usually the store's class."""

    def __call__(self, url: str, /) -> Store[Any]:
        """Build the store for *url*; raise ConfigurationError for what it does not understand."""
        ...


def open_store(url: str) -> Store[Any]:
    """Find the store that is registered for the scheme of *url* and build it, unopened.

    Raises ConfigurationError for an unknown scheme or a store whose library is not installed; its
    text never holds the URL, which may hold a password.
    """
    scheme = urlsplit(url).scheme
    if not scheme or "://" not in url:
        raise ConfigurationError(
            "the URL of the store has no scheme: write sqlite:///file.db, "
            "postgresql://user:password@host/database or memory://"
        )
    found = installed(GROUP)
    if scheme not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ConfigurationError(
            f"no store for {scheme}:// (installed: {known}): install the package that brings it, "
            f"or register '{scheme}' in the entry-point group {GROUP}"
        )
    try:
        factory: StoreFactory = found[scheme].load()
    except ImportError as error:
        extra = EXTRAS.get(scheme, scheme)
        raise ConfigurationError(
            f"the store for {scheme}:// cannot be imported ({error}): install choreo[{extra}]"
        ) from error
    return factory(url)
