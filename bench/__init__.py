"""Measures speed, and proves first that what is measured is right. The server never imports it."""
