"""The gate: a baseline, and the comparison of new results with it; pandas and SciPy, no torch."""
