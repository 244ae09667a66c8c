"""From what a person or an LLM wrote to what a voice should say. Knows no model and no protocol."""
