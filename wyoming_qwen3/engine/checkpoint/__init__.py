"""Checkpoints on disk: download, check and read them."""
