"""Speech made by vLLM-Omni servers: which there are, which one speaks, what it is sent, and the sound that comes."""
