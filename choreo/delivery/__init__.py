"""The path of one event from broker to handler: rules that decide, and a rim that does I/O."""
