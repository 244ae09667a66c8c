"""Sound as bytes: encoded while it is made, read from clips, resampled, stretched in time."""
