"""Protocols and scores."""
