"""Training: the cohort's anatomies, batches made as training runs, exact resume, export."""

from __future__ import annotations


def train_synthesis(configs, output, resume=False, report=print, overrides=()):
    """See :func:`MRISynthLib.training.synthesis.train_synthesis`; imports torch when called."""
    from .synthesis import train_synthesis as run

    return run(configs, output, resume, report, overrides)
