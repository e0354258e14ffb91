"""What a test of a service, or of an adapter, is made of."""
