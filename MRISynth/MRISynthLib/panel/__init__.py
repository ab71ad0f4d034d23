"""What the MRISynth panel decides, apart from any window.

The Slicer module shows what is computed here and hands user actions back; the browser can
do the same. Nothing in this package touches voxels, so a panel may call it at every key press.
"""

from .findings import (
    CHECKS_TASK,
    STUDY_TASK,
    Findings,
    Remark,
    check_words,
    remarks_in_words,
    serious_problem,
)
from .inputs import (
    InputRow,
    Model,
    first_model,
    handed_over,
    input_problem,
    row_of,
    selected,
    two_studies,
)
from .options import (
    DEVICES_TASK,
    MATCHING,
    NORMALISATION,
    PREVIEW_TASK,
    SYNTHESIS_TASK,
    card_html,
    chosen_model,
    device_choices,
    missing_model,
    synthesis_parameters,
)
from .preview import NOT_CHECKED, NOT_INSTALLED, NOT_PREPARED, SlicePlace, slice_place
from .progress import STAGE_WORDS, ProgressText, result_sentences, seconds_in_words
from .targets import (
    PREFERRED_TARGET,
    Alternative,
    Meaning,
    TargetRow,
    Understanding,
    own_lines,
    target_rows,
    understand_targets,
    why_disabled,
)
from .words import completions, remembered, to_save, with_new

__all__ = [
    "CHECKS_TASK",
    "DEVICES_TASK",
    "MATCHING",
    "NORMALISATION",
    "NOT_CHECKED",
    "NOT_INSTALLED",
    "NOT_PREPARED",
    "PREFERRED_TARGET",
    "PREVIEW_TASK",
    "STAGE_WORDS",
    "STUDY_TASK",
    "SYNTHESIS_TASK",
    "Alternative",
    "Findings",
    "InputRow",
    "Meaning",
    "Model",
    "ProgressText",
    "Remark",
    "SlicePlace",
    "TargetRow",
    "Understanding",
    "card_html",
    "check_words",
    "chosen_model",
    "completions",
    "device_choices",
    "first_model",
    "handed_over",
    "input_problem",
    "missing_model",
    "own_lines",
    "remarks_in_words",
    "remembered",
    "result_sentences",
    "row_of",
    "seconds_in_words",
    "selected",
    "serious_problem",
    "slice_place",
    "synthesis_parameters",
    "target_rows",
    "to_save",
    "two_studies",
    "understand_targets",
    "why_disabled",
    "with_new",
]
