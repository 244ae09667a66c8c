"""Audio: encoding and decoding, checks of clips, mixing, changes of speed, and effects."""
