"""Readers and writers, one format a file; `prepare` turns any source into a `store`, which training reads."""
