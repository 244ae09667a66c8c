"""The speech engine. Only this package imports torch, transformers and qwen_tts."""
