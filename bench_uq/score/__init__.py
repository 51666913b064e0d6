"""Stored predictions to scores, and scores to summaries and comparisons; without torch."""
