"""The small store, its teacher and its recipes."""

from small_store import content, data_root, recipe, write_recipe

__all__ = ["content", "data_root", "recipe", "write_recipe"]
