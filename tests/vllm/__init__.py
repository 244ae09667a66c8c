"""vLLM-Omni as its clients see it: its own models of what it takes, and a server that applies them."""
