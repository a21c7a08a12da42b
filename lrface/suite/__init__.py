"""The benchmark suite: every protocol on every model, kept row by row, and one report of it."""
