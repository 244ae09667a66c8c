"""The real server under more than it is meant for: days of mixed clients, and clients that mean harm."""
