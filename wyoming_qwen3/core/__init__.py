"""Requests, voices, checkpoints and errors: the terms that all other folders share. Imports no other folder."""
