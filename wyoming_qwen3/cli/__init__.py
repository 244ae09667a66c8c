"""The command line: options, and the terminal commands."""
