"""Evaluation protocols and their scores."""
