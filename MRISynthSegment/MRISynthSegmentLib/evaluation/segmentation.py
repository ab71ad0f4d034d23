"""`mrisynth evaluate segmentation`: how well structures are found, from which images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from MRISynthLib.bundles import Bundle
from MRISynthLib.errors import InputError
from MRISynthLib.evaluation.cases import Aligned
from MRISynthLib.evaluation.folders import FolderPatients
from MRISynthLib.evaluation.models import Model, load_models
from MRISynthLib.evaluation.patients import Patients
from MRISynthLib.evaluation.results import TRUSTED
from MRISynthLib.synthesis.synthesizer import Target
from MRISynthLib.volume import Volume

from ..agreement import Agreement
from ..segmenter import Segmenter
from .clicks import clicked
from .inputs import MAIN, InputSet, by_reference, images_for
from .measures import LEAST_VOXELS, measured
from .patients import Subject, subjects
from .pictures import Draw, Shown, pictures_of
from .results import Curve, Evaluation, Row

__all__ = ["MAIN", "Options", "evaluate_segmentation"]

Report = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes
    ----------
    inputs:
        From which images structures are delineated.
    structures:
        Names; None for all that the model knows.
    register:
        Whether images are registered, or lie where their headers say.
    clicks:
        Whether structures are also corrected by simulated clicks, on the first of ``inputs``.
    draw:
        What is done with pictures of outlines, drawn of so many patients as ``pictures`` says.
    """

    inputs: tuple[InputSet, ...] = MAIN
    structures: tuple[str, ...] | None = None
    register: bool = True
    clicks: bool = False
    draw: Draw | None = None
    pictures: int = 0


def evaluate_segmentation(
    bundle: Bundle,
    patients: Patients | FolderPatients,
    options: Options | None = None,
    device: str = "auto",
    synthesis: Bundle | None = None,
    report: Report = lambda text: None,
) -> Evaluation:
    """Figures of a model on patients that it was not trained on, from several sets of images.

    Structures that are not in the field of view, not known in an anatomy or not known to the
    model are left out; so are sets of images that the model does not take, and sets with a
    synthetic image without a ``synthesis`` bundle that makes it. Truths lie where the simulation
    placed the patient in the reference image; the other images are registered to it as in use.

    Raises
    ------
    InputError
        If the model does not know a structure that is asked for, no set of images can be used, or
        no patient has the images of one.
    """
    options = options or Options()
    measurement = _Measurement(bundle, synthesis, options, device)
    bundles = [bundle] if synthesis is None else [bundle, synthesis]
    sequences = images_for(measurement.sets)
    rows: list[Row] = []
    curves: list[Curve] = []
    shown = {n * patients.total // options.pictures for n in range(options.pictures)}
    drawn = subjects(patients, bundles, sequences, measurement.names, report)
    for number, subject in enumerate(drawn):
        aligned = Aligned(subject.case, options.register)
        seen: list[Shown] = []
        found: dict[InputSet, Row] = {}
        for inputs, one in measurement.of(subject, aligned):
            found[inputs] = one.row
            if number in shown:
                # of all but the first set only the tumour is drawn
                seen.append(one.shown if not seen else one.shown.tumour_only())
            if measurement.corrects(inputs):
                report(f"{subject.case.name} with clicks")
                curves += measurement.curves(one)
        rows += [found[inputs] for inputs in measurement.sets if inputs in found]
        if options.draw is not None and seen:
            for picture in pictures_of(subject.case.name, seen):
                options.draw(picture)
    if not rows:
        raise InputError("No patient has all images of any of the sets; choose others.")
    return Evaluation({**patients.record(), **measurement.record()}, tuple(rows), tuple(curves))


@dataclass(frozen=True, eq=False)
class _One:
    """What came of one patient and one set of images."""

    row: Row
    volumes: list[Volume]
    truths: dict[str, np.ndarray]
    shown: Shown


class _Measurement:
    """Loaded models, and what of the options they can do."""

    def __init__(
        self, bundle: Bundle, synthesis: Bundle | None, options: Options, device: str
    ) -> None:
        self.options = options
        self.names = _structures(bundle, options.structures)
        self.segmenter = Segmenter(bundle, device)
        self.maker = None if synthesis is None else load_models([synthesis], device)[0]
        self.left_out = {
            each.name: reason
            for each in options.inputs
            if (reason := _reason_against(each, bundle, self.maker))
        }
        self.sets = [each for each in options.inputs if each.name not in self.left_out]
        if not self.sets:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.left_out.items())
            raise InputError(f"None of the sets of images can be used ({reasons}); choose others.")

    def record(self) -> dict[str, Any]:
        """What was measured, for the head of the figures."""
        about: dict[str, Any] = {"model": _called(self.segmenter.bundle)}
        if self.maker is not None:
            about["synthesis model"] = _called(self.maker.synthesizer.bundle)
        if self.options.structures is not None:
            about["structures"] = list(self.names)
        if self.left_out:
            about["left out"] = [f"{name}: {reason}" for name, reason in self.left_out.items()]
        registered = "images are registered to the first as in use"
        about["registration"] = registered if self.options.register else TRUSTED
        if self.options.clicks and not self.segmenter.takes_clicks:
            about["clicks"] = f"none: {self.segmenter.bundle.name} takes no clicks"
        elif self.options.clicks:
            about["clicks"] = f"simulated, on {self.sets[0].name}"
        return about

    def of(self, subject: Subject, aligned: Aligned) -> Iterator[tuple[InputSet, _One]]:
        """Every set of images that the patient has."""
        made: dict[tuple[tuple[str, ...], str], Volume] = {}
        for inputs in by_reference(self.sets):
            if not all(aligned.usable(name) for name in inputs.real):
                continue
            volumes = aligned.inputs(inputs.real)
            for name in inputs.synthetic:
                key = (inputs.real, name)
                if key not in made:
                    made[key] = _synthetic(self.maker, volumes, name)
            volumes += [made[inputs.real, name] for name in inputs.synthetic]
            yield inputs, self._one(subject, aligned, inputs, volumes)

    def _one(
        self, subject: Subject, aligned: Aligned, inputs: InputSet, volumes: list[Volume]
    ) -> _One:
        result = self.segmenter.segment(volumes, list(self.names), register=False)
        doubts = getattr(result, "doubt", None) or {}
        found, truths = result.segmentation.masks, aligned.frame(inputs.real[0]).masks
        figures: dict[str, dict[str, float]] = {}
        agreements: dict[str, Agreement] = {}
        for name in self.names:
            if name not in subject.case.masks:
                continue  # nothing is known of it
            figures[name], agreed = measured(
                truths.get(name), found[name], volumes[0].index_to_world, doubts.get(name)
            )
            if agreed is not None:
                agreements[name] = agreed
        case = subject.case
        row = Row(case.name, case.group, subject.stage, subject.hospital, inputs.name, figures)
        truths = {name: mask for name, mask in truths.items() if name in figures}
        shown = Shown(inputs, volumes, truths, result.segmentation, agreements)
        return _One(row, volumes, truths, shown)

    def corrects(self, inputs: InputSet) -> bool:
        """Whether results from these images are corrected by clicks."""
        able = self.options.clicks and self.segmenter.takes_clicks
        return able and inputs == self.sets[0]

    def curves(self, one: _One) -> Iterator[Curve]:
        """Each structure that is there, corrected click by click."""
        truths = {n: m for n, m in one.truths.items() if np.count_nonzero(m) >= LEAST_VOXELS}
        row, found = one.row, one.shown.found.masks
        about = (row.case, row.group, row.stage, row.hospital, row.inputs)
        for name, curve in clicked(self.segmenter, one.volumes, truths, found).items():
            yield Curve(*about, name, *curve)


def _structures(bundle: Bundle, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """In the model's order."""
    known = bundle.structures
    for name in wanted or ():
        if name not in known:
            raise InputError(
                f"The model {bundle.name} does not know the structure {name}; it knows "
                f"{', '.join(known)}."
            )
    return tuple(name for name in known if wanted is None or name in wanted)


def _reason_against(inputs: InputSet, bundle: Bundle, maker: Model | None) -> str:
    """Why a set of images cannot be used; empty if it can."""
    unknown = [name for name in inputs.sequences if name not in bundle.sequences_in]
    if unknown:
        return f"{bundle.name} does not take {', '.join(unknown)}"
    if inputs.synthetic and maker is None:
        return "there is no synthesis model"
    for name in inputs.synthetic:
        if maker is not None and not maker.can((inputs.real, name)):
            return f"{maker.synthesizer.bundle.name} does not make {name} of the others"
    return ""


def _synthetic(maker: Model, volumes: Sequence[Volume], name: str) -> Volume:
    """That image of images which lie upon each other."""
    made = maker.synthesizer.synthesize(list(volumes), [Target(name)], register=False)
    return made.volumes[name]


def _called(bundle: Bundle) -> str:
    return f"{bundle.name} {bundle.version} ({bundle.hash[:12]})"
