"""The HTTP surface: one file per resource, built on the same speech layer as the Wyoming server."""
