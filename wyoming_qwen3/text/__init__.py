"""Turns what a person or an LLM wrote into what a voice should say. Knows no model and no protocol."""
