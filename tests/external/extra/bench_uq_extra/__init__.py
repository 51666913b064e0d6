"""A method and a dataset for bench-uq."""
