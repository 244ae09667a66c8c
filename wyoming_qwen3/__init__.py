"""Qwen3-TTS for Home Assistant: a streaming Wyoming server."""

__version__ = "0.1.0"
