"""Training: the cohort's anatomies, batches made as training runs, exact resume, export."""

from __future__ import annotations


def train_synthesis(config_path, output, resume=False, report=print):
    """See :func:`MRISynthLib.training.synthesis.train_synthesis`; imports torch when called."""
    from .synthesis import train_synthesis as run

    return run(config_path, output, resume, report)
