"""From a name to a voice, and from a clip to a clone prompt."""
