"""The checkpoints: which one speaks, the state of each, and how they get from the hub to disk and into memory."""
