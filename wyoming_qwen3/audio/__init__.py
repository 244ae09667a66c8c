"""Sample formats. Knows no model and no protocol."""
