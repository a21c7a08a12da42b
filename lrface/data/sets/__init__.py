"""The benchmark sets' own formats, one a file."""
