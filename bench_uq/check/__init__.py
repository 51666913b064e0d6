"""The gate on results: a baseline, and whether what is measured now is worse; pandas and SciPy, no torch."""
