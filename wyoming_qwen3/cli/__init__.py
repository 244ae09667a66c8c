"""The command line: options, and the commands for a terminal."""
