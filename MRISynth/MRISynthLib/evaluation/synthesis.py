"""`mrisynth evaluate synthesis`: models beside each other and beside what is simpler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bundles import Bundle
from ..errors import InputError
from .calibration import calibration
from .cases import Aligned, Frame
from .contrast import (
    contrast_to_noise,
    enhancement_ratio,
    reference_tissue,
    relative_error,
)
from .folders import FolderPatients
from .metrics import Yardstick
from .models import PROMPTED, Made, Model, load_models, network_scale
from .patients import Patients
from .pictures import picture_of
from .results import (
    CORRELATION,
    SHARPNESS,
    TRUSTED,
    Evaluation,
    Picture,
    Row,
    registration_in_words,
)
from .rivals import Weights, fit_regressions, guesses
from .robustness import PATIENTS as ROBUSTNESS_PATIENTS
from .robustness import TASKS as ROBUSTNESS_TASKS
from .robustness import curves_of
from .tasks import MAIN, Task, by_inputs, sequences_for

__all__ = ["MAIN", "Options", "evaluate_synthesis", "network_scale"]

Report = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes
    ----------
    tasks:
        What is made from what.
    register:
        Whether images and truths are registered, or lie where their headers say.
    ceiling:
        Whether the truth without noise and motion stands beside the methods; simulated patients
        only.
    robustness:
        Whether some patients are also made worse.
    pictures:
        Of how many patients slices are kept.
    match:
        Whether inputs are brought to the brightness of training images; None as each model does
        in use.
    """

    tasks: tuple[Task, ...] = MAIN
    register: bool = True
    ceiling: bool = False
    robustness: bool = False
    pictures: int = 0
    match: bool | None = None


def evaluate_synthesis(
    bundles: Sequence[Bundle],
    patients: Patients | FolderPatients,
    options: Options | None = None,
    device: str = "auto",
    report: Report = lambda text: None,
) -> Evaluation:
    """Figures of models on patients that they were not trained on.

    Beside them stand copying the best input, a linear regression of the inputs fitted on
    training patients and a cubic remap fitted on the truth. A model that reads prompts is asked
    twice, by the sequence's name alone and with the true protocol in the prompt. A task that a
    model cannot do is left out there.

    Raises
    ------
    InputError
        If no model can do any of the tasks, or no patient has the images for one.
    """
    options = options or Options()
    models = load_models(bundles, device, options.match)
    tasks = tuple(task for task in options.tasks if any(model.can(task) for model in models))
    if not tasks:
        names = ", ".join(bundle.name for bundle in bundles)
        raise InputError(f"{names} can do none of the tasks that are asked for; choose others.")
    extra = ROBUSTNESS_TASKS if options.robustness else ()
    wanted = tuple(dict.fromkeys(target for _, target in tasks)) if options.ceiling else ()
    drawn = patients.cases_for(bundles, sequences_for((*tasks, *extra)), wanted, report)
    weights = fit_regressions(tasks, options.register, report)
    rows: list[Row] = []
    curves, pictures, moved = [], [], []
    worse = _evenly(patients.total, ROBUSTNESS_PATIENTS if options.robustness else 0)
    shown = _evenly(patients.total, options.pictures)
    for number, case in enumerate(drawn):
        aligned = Aligned(case, options.register)
        for row, picture in _of_case(aligned, models, tasks, weights, number in shown):
            rows.append(row)
            pictures.append(picture)
        if number in worse:
            report(f"{case.name} with worse inputs")
            curves.append(curves_of(aligned, models, seed=number))
        moved += aligned.moved_mm
    if not rows:
        raise InputError("No patient has the images of any of the tasks; choose other tasks.")
    about = {
        **patients.record(),
        **({} if options.match is None else {"site matching": "on" if options.match else "off"}),
        "models": [model.called for model in models],
        "registration": registration_in_words(moved) if options.register else TRUSTED,
    }
    return Evaluation(
        about,
        tuple(model.label for model in models),
        tuple(rows),
        tuple(curves),
        tuple(moved),
        tuple(picture for picture in pictures if picture is not None),
    )


def _evenly(total: int, count: int) -> set[int]:
    """So many positions among all, evenly spread from the first."""
    return {number * total // count for number in range(count)} if count else set()


def _of_case(
    aligned: Aligned,
    models: Sequence[Model],
    tasks: Sequence[Task],
    weights: Weights,
    shown: bool,
) -> Iterator[tuple[Row, Picture | None]]:
    """Each task that the case has images for; each model encodes the same inputs once."""
    possible = [
        (inputs, target)
        for inputs, target in tasks
        if all(aligned.usable(name) for name in (*inputs, target))
    ]
    for inputs, targets in by_inputs(possible).items():
        frame = aligned.frame(inputs[0])
        made = [_made(model, aligned, inputs, targets) for model in models]
        for target in targets:
            found = {name: each[target] for part in made for name, each in part.items()}
            found = {name: value for name, value in found.items() if value is not None}
            yield _row(aligned, frame, (inputs, target), found, weights, shown)


def _made(model: Model, aligned: Aligned, inputs, targets) -> dict[str, dict[str, Made | None]]:
    """Method -> target -> image, None where the model cannot make it."""
    able = [target for target in targets if model.can((inputs, target))]
    nothing = dict.fromkeys(targets)
    if not able:
        return {model.label: nothing}
    volumes = aligned.inputs(inputs)
    found = {model.label: {**nothing, **model.make(volumes, able)}}
    prompts = {name: aligned.case.prompts[name] for name in able if aligned.case.prompts.get(name)}
    if model.reads_prompts and prompts:
        told = model.make(volumes, list(prompts), prompts)
        found[model.label + PROMPTED] = {**nothing, **told}
    return found


def _row(
    aligned: Aligned,
    frame: Frame,
    task: Task,
    made: dict[str, Made],
    weights: Weights,
    shown: bool,
) -> tuple[Row, Picture | None]:
    yardstick = frame.yardstick(task[1])
    images = {name: frame.as_sharp_as(task[1], each.image) for name, each in made.items()}
    images |= guesses(frame, task, weights)
    compared = {name: yardstick.matched(image) for name, image in images.items()}
    figures: dict[str, Any] = {
        name: yardstick.compare_matched(image, multiscale=True) for name, image in compared.items()
    }
    figures[SHARPNESS] = {name: yardstick.sharpness(image) for name, image in compared.items()}
    figures |= _tumour(frame, task[1], yardstick, images)
    doubts = {
        name: _calibration(frame, yardstick, each, compared[name])
        for name, each in made.items()
        if not name.endswith(PROMPTED)
    }
    correlations = {
        n: doubt["correlation"] for n, doubt in doubts.items() if "correlation" in doubt
    }
    if correlations:
        figures[CORRELATION] = correlations
    case = aligned.case
    row = Row(case.name, case.group, task, figures, doubts)
    return row, picture_of(case.name, frame, task, compared) if shown else None


def _tumour(frame: Frame, target: str, yardstick: Yardstick, images) -> dict[str, dict]:
    """How the tumour stands out in each image, beside the truth; nothing without a tumour."""
    tumour = frame.tumour
    if tumour is None:
        return {}
    own = {name: image * yardstick.factor(image) for name, image in images.items()}
    own = {"truth": yardstick.own, **own}
    figures: dict[str, dict] = {}
    brain = frame.masks.get("Brain")
    if brain is not None:
        figures["tumour over brain"] = {
            name: float(image[tumour].mean() / max(float(image[brain].mean()), 1e-6))
            for name, image in own.items()
        }
    other = reference_tissue(frame.masks, tumour)
    if other is not None:
        ratios = {name: contrast_to_noise(image, tumour, other) for name, image in own.items()}
        figures |= _against_truth("CNR", ratios, lambda found, true: abs(found - true))
    if target == "CE-T1w" and frame.has("T1w"):
        plain = frame.truth("T1w")
        ratios = {name: enhancement_ratio(image, plain, tumour) for name, image in own.items()}
        figures |= _against_truth("enhancement ratio", ratios, relative_error)
    return figures


def _against_truth(name: str, values: dict[str, float | None], error) -> dict[str, dict]:
    """The values under their name, and the error of each but the truth."""
    known = {key: value for key, value in values.items() if value is not None}
    if "truth" not in known:
        return {}
    errors = {key: error(value, known["truth"]) for key, value in known.items() if key != "truth"}
    errors = {key: value for key, value in errors.items() if value is not None}
    return {name: known, **({f"{name} error": errors} if errors else {})}


def _calibration(frame: Frame, yardstick: Yardstick, made: Made, image: np.ndarray) -> dict:
    """Expected against true error, both on the truth's 0-1 scale."""
    expected = made.expected * (yardstick.factor(made.image) / yardstick.scale)
    regions = {
        name: frame.masks[key]
        for name, key in (("tumour", "GTVp"), ("mucosa", "mucosa"))
        if key in frame.masks
    }
    error = np.abs(image - yardstick.truth)
    return calibration(error, expected, yardstick.body, regions)
