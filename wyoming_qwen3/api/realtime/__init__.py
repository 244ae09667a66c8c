"""OpenAI's Realtime API: a client's events, the server's events, the conversation, and the response being spoken."""
