"""Speech from vLLM-Omni servers: watching them, choosing one, sending requests, and reading their audio."""
