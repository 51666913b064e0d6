"""Speed, side by side with the alternatives of a user; python -m benchmarks.NAME."""
