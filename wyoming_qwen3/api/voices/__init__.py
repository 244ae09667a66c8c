"""Voices over HTTP: listed, made from words and from clips, changed, handed on."""
