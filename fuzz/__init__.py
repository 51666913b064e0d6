"""Coverage-guided fuzzing of every reader of bytes or text that others may have written; ``make fuzz``."""
