"""Services with a store: what holds over failures and restarts."""
