"""The public API, re-exported; nothing else lives here."""
