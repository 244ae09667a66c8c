"""Sound: encoded while it is made, read from clips, judged, joined, mixed, stretched, and put through effects."""
