"""Where a sample of a data set may come from."""

SOURCE = "source"
"""From the user's own data."""

AUXILIARY = "auxiliary"
"""Mined from a source sample."""
