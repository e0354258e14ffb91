"""Registries by the scheme of their URL: the one that choreo brings, and whoever adds another."""

from typing import Protocol
from urllib.parse import urlsplit

from choreo.errors import ConfigurationError
from choreo.plugins import installed
from choreo.registry.port import Registry

GROUP = "choreo.registries"


class RegistryFactory(Protocol):
    """What an entry point of the group ``choreo.registries`` loads: usually the client's class."""

    def __call__(self, url: str, /) -> Registry:
        """Build the client for *url*; raise ConfigurationError for what it does not understand."""
        ...


def open_registry(url: str) -> Registry:
    """Find the client that is registered for the scheme of *url* and build it, unopened.

    Raises ConfigurationError for an unknown scheme or a client whose library is not installed; its
    text never holds the URL, which may hold a password.
    """
    scheme = urlsplit(url).scheme
    found = installed(GROUP)
    if scheme not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ConfigurationError(
            f"no registry for {scheme or 'a URL without scheme'} (installed: {known}): write "
            f"http://host:8081, or register the scheme in the entry-point group {GROUP}"
        )
    try:
        factory: RegistryFactory = found[scheme].load()
    except ImportError as error:
        raise ConfigurationError(
            f"the registry for {scheme}:// cannot be imported ({error}): install choreo[registry]"
        ) from error
    return factory(url)
