"""What the MRISynth panel decides, apart from any window.

The Slicer module shows what is computed here and hands user actions back; the browser can
do the same. Nothing in this package touches voxels, so a panel may call it at every key press.
"""

from .inputs import InputRow, Model, first_model, input_problem, row_of, selected
from .options import SYNTHESIS_TASK, synthesis_parameters
from .progress import STAGE_WORDS, ProgressText, result_sentences, seconds_in_words
from .targets import (
    PREFERRED_TARGET,
    TargetRow,
    Understanding,
    target_rows,
    understand_targets,
    why_disabled,
)

__all__ = [
    "PREFERRED_TARGET",
    "STAGE_WORDS",
    "SYNTHESIS_TASK",
    "InputRow",
    "Model",
    "ProgressText",
    "TargetRow",
    "Understanding",
    "first_model",
    "input_problem",
    "result_sentences",
    "row_of",
    "seconds_in_words",
    "selected",
    "synthesis_parameters",
    "target_rows",
    "understand_targets",
    "why_disabled",
]
