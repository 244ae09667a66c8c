"""What the server stores on disk: voices, the history of what was spoken, and temporary clips."""
