"""Shards of samples on disk: artifacts, row tables, file formats, and the parts that stages read back."""
