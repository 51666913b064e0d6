"""A plugin that cannot be imported."""

raise ImportError("libmissing.so.1: no such file\nReinstall it.")
