"""The configuration: the official collector's YAML, read strictly. `loader` is the way in, `settings` the way out."""
