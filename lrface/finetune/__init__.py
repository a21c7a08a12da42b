"""Finetuning: teaching a model the user's own people."""
