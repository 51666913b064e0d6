"""Metrics, one or several per file: functions with a card. Files with _ in front hold shared code."""
