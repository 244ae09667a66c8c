"""What the server keeps on disk: voices, the history of what was spoken, clips for a while."""
