"""The HTTP surface: routes, one file a resource, over the same speaking middle as the Wyoming server."""
