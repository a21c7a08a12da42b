"""The benchmark suite: every protocol on every model, stored row by row, with one report."""
