"""A model taught the user's own people."""
