"""Measures side by side with named peers, in one run, on real brokers; never a timed test."""
