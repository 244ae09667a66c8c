"""What every other folder speaks of: requests, voices and checkpoints by name, errors. Imports nothing of ours."""
