"""Troubles for real runs: each begins, ends, and proves that it bit."""

from choreo.testing.faults.proxy import Proxy

__all__ = ["Proxy"]
