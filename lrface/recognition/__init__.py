"""Using a trained model: compare, identify and search faces."""
