"""Voices by way of a folder: what a person puts there can be spoken with."""
