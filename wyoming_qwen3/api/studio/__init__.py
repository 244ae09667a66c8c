"""Conversations, compositions, effects, the history and clips over HTTP."""
