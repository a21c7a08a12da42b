"""Using a trained model: compare, name and search faces."""
