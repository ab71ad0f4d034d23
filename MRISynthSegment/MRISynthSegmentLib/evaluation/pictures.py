"""What is drawn of a patient: outlines of what was found over those of the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from MRISynthLib.preprocessing.resampling import resample_to
from MRISynthLib.provenance import SYNTHETIC_MARK
from MRISynthLib.volume import Volume

from ..agreement import EMPTY_IN_FIRST, EMPTY_IN_SECOND, Agreement, agreement
from ..comparison import Comparison, Side
from ..comparison import Row as Line
from ..segmentation import Segmentation
from .comparisons import ASKED
from .inputs import InputSet
from .measures import INVENTED, MISSED, TUMOUR

OVER = "CE-T1w"
"""The image over which tumours are drawn, where there is one."""


@dataclass(frozen=True, eq=False)
class Shown:
    """One patient and one set of images.

    ``volumes`` as the model got them; ``truths``: structure -> mask on the grid of the first, an
    absent one left out; ``agreements`` of those that were measured.
    """

    inputs: InputSet
    volumes: Sequence[Volume]
    truths: Mapping[str, np.ndarray]
    found: Segmentation
    agreements: Mapping[str, Agreement]

    def tumour_only(self) -> Shown:
        """The same without the organs, which take much memory."""

        def kept(values: Mapping) -> dict:
            return {name: value for name, value in values.items() if name == TUMOUR}

        found = Segmentation(kept(self.found.masks), self.found.reference, self.found.provenance)
        return Shown(
            self.inputs, self.volumes, kept(self.truths), found, kept(self.agreements)
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Picture:
    """Outlines over one image; ``name`` is part of a file's name."""

    name: str
    comparison: Comparison
    truth: Segmentation
    found: Segmentation


_REASONS = {EMPTY_IN_FIRST: INVENTED, EMPTY_IN_SECOND: MISSED}
"""What is said below a panel without two outlines: the first is the truth."""

Draw = Callable[[Picture], None]


def pictures_of(case: str, shown: Sequence[Shown]) -> Iterator[Picture]:
    """All structures as found in the first set of images; the tumour as found in each set with
    the same reference, over the real and over the synthetic contrast-enhanced image."""
    first = shown[0]
    yield _structures(case, first)
    same = [each for each in shown if each.inputs.real[0] == first.inputs.real[0]]
    known = [each for each in same if TUMOUR in each.found.masks]
    if not known:
        return
    for made, image in _backgrounds(same).items():
        yield _tumour(f"{case}, tumour{' over synthetic ' + OVER if made else ''}", known, image)


def _backgrounds(shown: Sequence[Shown]) -> dict[bool, Volume]:
    """Whether it is synthetic -> image on the grid of the reference; that itself without any."""
    reference = shown[0].volumes[0]
    found: dict[bool, Volume] = {}
    for each in shown:
        for volume in each.volumes:
            if volume.sequence == OVER:
                found.setdefault(volume.is_synthetic, volume)
    if not found:
        return {False: reference}
    return {
        made: volume if volume.same_geometry(reference) else resample_to(volume, reference)
        for made, volume in found.items()
    }


def _structures(case: str, shown: Shown) -> Picture:
    masks = shown.found.masks
    empty = np.zeros(shown.found.reference.shape, bool)
    truths = {name: shown.truths.get(name, empty) for name in masks}
    lines = tuple(
        Line(name, name, _agreement(shown, name, truths[name], mask))
        for name, mask in masks.items()
    )
    sides = Side("truth"), Side(f"found in {shown.inputs.name}")
    image = shown.found.reference
    return Picture(
        f"{case}, structures",
        Comparison(*sides, _label(image), lines),
        Segmentation(truths, image),
        Segmentation(masks, image),
    )


def _tumour(name: str, shown: Sequence[Shown], image: Volume) -> Picture:
    """A panel for each set of images."""
    empty = np.zeros(image.shape, bool)
    truths, found, lines = {}, {}, []
    short = all(each.inputs.name in ASKED for each in shown)
    for each in shown:
        label = ASKED[each.inputs.name] if short else each.inputs.name.replace(" + ", "+")
        truths[label] = each.truths.get(TUMOUR, empty)
        found[label] = each.found.masks[TUMOUR]
        lines.append(Line(label, label, _agreement(each, TUMOUR, truths[label], found[label])))
    source = "T1w + T2w and what is named below" if short else "the images named below"
    sides = Side(f"true {TUMOUR}"), Side(f"{TUMOUR} as found in {source}")
    comparison = Comparison(*sides, _label(image), tuple(lines))
    return Picture(name, comparison, Segmentation(truths, image), Segmentation(found, image))


def _agreement(shown: Shown, name: str, truth: np.ndarray, found: np.ndarray) -> Agreement:
    known = shown.agreements.get(name)
    if known is None:
        known = agreement(truth, found, shown.found.reference.index_to_world)
    return replace(known, reason=_REASONS.get(known.reason, known.reason))


def _label(image: Volume) -> str:
    name = (image.name or str(image.sequence)).removeprefix(SYNTHETIC_MARK).strip()
    return f"{SYNTHETIC_MARK} {name}" if image.is_synthetic else name
