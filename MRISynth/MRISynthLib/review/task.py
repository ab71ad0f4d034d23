"""What the worker runs for the review: the task ``"comparison"``.

Volumes: the real image, the synthetic one, then regions of interest as masks (voxels above 0),
each with its name; those of one name are told apart by numbers. Parameters (optional)::

    align            whether the real image is first registered to the synthetic one

Result: the volume ``difference``; ``info`` has ``figures`` (region -> "MAE", "PSNR" in dB, "SSIM"),
``moved_mm`` and ``warnings``; see :class:`MRISynthLib.review.comparison.Comparison`.
"""

from __future__ import annotations

from typing import Any

from ..progress import Callbacks
from ..volume import Volume
from ..worker.tasks import ModelCache, TaskResult


def _comparison(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from .comparison import compare_images, region_names

    real, synthetic, *masks = volumes
    found = compare_images(
        real,
        synthetic,
        dict(zip(region_names(mask.name for mask in masks), masks, strict=True)),
        align=bool(parameters.get("align")),
        callbacks=callbacks,
    )
    return TaskResult(
        [("difference", found.difference)],
        {
            "figures": found.figures,
            "moved_mm": found.moved_mm,
            "warnings": list(found.warnings),
        },
    )


HANDLERS = {"comparison": _comparison}
