"""What was spoken: FLAC files, and a database to search."""
