"""Kept voices: a folder each, with its clips and clone prompts; archives of them."""
