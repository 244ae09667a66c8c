"""Stored voices, each in a folder with its clips and clone prompts, and archives of voices."""
