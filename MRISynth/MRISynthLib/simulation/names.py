"""What the window knows of the sample case; importing this imports nothing else."""

SAMPLE_TASK = "sample"
"""Name of the worker's task."""

INPUTS = ("T1w", "T2w")
"""The sequences that the sample patient's hospital made; the others are the truth to compare
with."""
