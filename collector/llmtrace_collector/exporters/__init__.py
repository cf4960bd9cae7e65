"""Where spans go: one module per exporter of the configuration."""
