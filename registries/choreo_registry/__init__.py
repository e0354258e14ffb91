"""A client of Confluent-compatible schema registries over HTTP."""

from choreo_registry.client import HttpRegistry

__all__ = ["HttpRegistry"]
