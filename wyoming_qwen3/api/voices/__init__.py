"""Voices over HTTP: list, make from words or clips, change, export and import."""
