"""Methods, one file or folder each: its name is the name of the method."""
