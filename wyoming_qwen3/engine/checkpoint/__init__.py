"""Checkpoints on disk: downloaded, checked, and read."""
