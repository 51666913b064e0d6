"""A plugin whose name is taken."""
