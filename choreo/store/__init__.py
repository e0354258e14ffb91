"""Stores: where a service keeps what must outlive it."""
