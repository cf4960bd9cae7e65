"""What the collector offers beside its pipelines: a health check, and tokens to ask for or to send."""
