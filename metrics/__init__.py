"""Metrics, one or several per file: functions with a card. Files with _ hold shared code."""
