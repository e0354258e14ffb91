"""The pool's connection as SQLAlchemy sees it within a transaction that a link has begun."""

from typing import Any

from sqlalchemy.pool import PoolProxiedConnection


class Shared:
    """A pooled connection as a handler's SQLAlchemy sees it: the transaction is not its to end."""

    def __init__(self, pooled: PoolProxiedConnection) -> None:
        self._pooled = pooled

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the pool's has
        return getattr(self._pooled, name)

    def commit(self) -> None:
        """Leave it to choreo."""

    def rollback(self) -> None:
        """Leave it to choreo."""

    def close(self) -> None:
        """Give nothing back."""

    def _close_special(self, *, transaction_reset: bool = False) -> None:
        """Give nothing back."""


class Own(Shared):
    """The same for what choreo itself says through SQLAlchemy."""
