"""OTLP as data: the three signals, the batches that travel, and their line in a file. No sockets here."""
