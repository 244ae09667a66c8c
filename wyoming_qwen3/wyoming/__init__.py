"""The Wyoming surface: events on a connection, what Describe answers, and mDNS."""
