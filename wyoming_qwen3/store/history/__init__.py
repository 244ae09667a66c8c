"""The history of what was spoken: FLAC files, and a database to search."""
