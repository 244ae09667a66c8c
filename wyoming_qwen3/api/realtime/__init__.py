"""OpenAI Realtime: events, the two dialects of their names, the conversation, and the response being spoken."""
