"""Studies of the statistics and of posteriors whose answer is known; python -m studies.NAME."""
