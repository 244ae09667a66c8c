"""The Wyoming surface: events on a connection, the answer to Describe, and mDNS."""
