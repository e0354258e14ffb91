"""Schema registries: the port, how payloads name their schemas in one, and what is known of them.

The calls are those of the REST API that Confluent's registry began and others serve, too.
"""
