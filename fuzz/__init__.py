"""Coverage-guided fuzzing of every reader of bytes or text written by others; ``make fuzz``."""
