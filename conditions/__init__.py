"""Attacks and shifts, one file each: its name is that of the condition. OOD data are datasets."""
