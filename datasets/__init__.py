"""Datasets, one file each: its name is the name of the dataset."""
