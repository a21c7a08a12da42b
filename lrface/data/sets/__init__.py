"""The benchmark sets' own formats, one per file."""
