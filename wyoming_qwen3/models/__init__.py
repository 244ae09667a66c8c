"""The checkpoints: which one speaks, what is known of each, and their lives between hub, disk and memory."""
