"""The min step: training a student against stored teacher outputs. Knows nothing of files."""
