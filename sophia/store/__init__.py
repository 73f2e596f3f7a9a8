"""The one truth on disk: SQLite, written by one process at a time."""
