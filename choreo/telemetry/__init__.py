"""OpenTelemetry for services: spans, metrics and trace context, there only where a provider is."""
