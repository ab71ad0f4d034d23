"""What a visitor has and asked for; needs neither scene nor page.

Decisions come from the panels' functions, which the Slicer modules use as well; here is what these
modules keep in MRML nodes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from MRISynthLib import panel
from MRISynthLib.errors import InputError
from MRISynthLib.panel import InputRow
from MRISynthLib.review.pairing import of_two_patients, of_two_studies, real_of
from MRISynthLib.sequences import SEQUENCES
from MRISynthLib.volume import Volume
from MRISynthSegmentLib import panel as segment_panel
from MRISynthSegmentLib.click_maps import Click
from MRISynthSegmentLib.corrections import (
    CorrectionHistory,
    clicks_from_plain,
    corrected,
    merged,
    taken_from,
)
from MRISynthSegmentLib.segmentation import Segmentation

from ..inputs import NOBODY, Origin

TRUTH_NOTE = " as it should be (simulated)"
"""End of the name of what the simulated patient has beside the inputs."""

SIMULATED = Origin("simulated")
"""Tells the simulated patient from real ones."""

SOMEBODY = "somebody"
"""The patient of images that do not say whose they are, where the simulated one is there too."""

CORRECTED_NOTE = "Corrected by a person with clicks in the browser."


@dataclass
class Image:
    """A volume with what the visitor set for it, the files it came from, whose it is, and the keys
    of the images that it was made from."""

    volume: Volume
    files: tuple[Path, ...] = ()
    origin: Origin = NOBODY
    made_from: tuple[str, ...] = ()
    chosen: str | None = None
    ticked: bool | None = None


@dataclass(frozen=True)
class Order:
    """A request to the worker; ``origin`` tells whose images it is about, as far as that is known,
    and ``made_from`` which."""

    task: str
    parameters: Mapping[str, Any]
    volumes: tuple[Volume, ...]
    origin: Origin = NOBODY
    made_from: tuple[str, ...] = ()


@dataclass
class Desk:
    """One visitor's images, choices and results.

    ``uncertainty`` maps the key of a synthetic image to its map. ``ticked_targets`` and
    ``ticked_structures`` are None until the visitor has touched them. ``drawn_on`` is the key of
    the image on which the structures lie.
    """

    model: Any = None
    segmenter: Any = None
    images: dict[str, Image] = field(default_factory=dict)
    uncertainty: dict[str, Volume] = field(default_factory=dict)
    ticked_targets: tuple[str, ...] | None = None
    ticked_structures: tuple[str, ...] | None = None
    prompt: str = ""
    seed: int = 0
    segmentation: Segmentation | None = None
    drawn_on: str = ""
    history: CorrectionHistory = field(default_factory=CorrectionHistory)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _recognised: dict[str, tuple[Any, InputRow]] = field(default_factory=dict)

    # --------------------------------------------------------------------------- images

    def add(
        self,
        volumes: Iterable[Volume],
        files: Sequence[Path] = (),
        *,
        ticked: bool | None = None,
        origin: Origin = NOBODY,
        made_from: tuple[str, ...] = (),
    ) -> list[str]:
        """Take volumes of one origin in; their keys."""
        keys = []
        for volume in volumes:
            key = f"image{next(self._numbers)}"
            self.images[key] = Image(volume, tuple(files), origin, made_from, ticked=ticked)
            keys.append(key)
        return keys

    def remove(self, key: str) -> None:
        """Take an image away, with its uncertainty and the structures that lie on it."""
        self.images.pop(key, None)
        self.uncertainty.pop(key, None)
        if key == self.drawn_on:
            self.segmentation, self.drawn_on = None, ""
            self.history = CorrectionHistory()

    def choose(self, key: str, sequence: str | None) -> None:
        """The visitor says which sequence an image is; None goes back to recognition."""
        if key in self.images:
            self.images[key].chosen = sequence if sequence in SEQUENCES else None

    def tick(self, key: str, ticked: bool) -> None:
        """The visitor wants an image as input, or does not."""
        if key in self.images:
            self.images[key].ticked = bool(ticked)

    def rows(self) -> tuple[InputRow, ...]:
        """All images as lines of the table."""
        return tuple(self._row(key, image) for key, image in self.images.items())

    def _row(self, key: str, image: Image) -> InputRow:
        simulated = any(each.origin is SIMULATED for each in self.images.values())
        known = self._recognised.get(key)
        if known is None or known[0] is not image.volume:  # recognising is not for free
            known = image.volume, panel.row_of(image.volume, key)
            self._recognised[key] = known
        return replace(
            known[1],
            chosen=image.chosen,
            ticked=image.ticked,
            patient=image.origin.patient or (SOMEBODY if simulated else ""),
            study=image.origin.study,
            made_from=image.made_from,
        )

    def remark(self) -> str:
        """What the visitor should know of the inputs that are ticked; empty if nothing."""
        return panel.two_studies(self.used()) or panel.two_studies(self.used_to_segment())

    def not_used(self, keys: Iterable[str]) -> str:
        """Why images that have just come are left out; empty if they need not be."""
        rows, used = self.rows(), self.used() or self.used_to_segment()
        apart = {
            row.name: other.name
            for row in rows
            for other in used
            if row.key in keys and row not in used and of_two_studies(row, other)
        }
        if not apart:
            return ""
        name, other = next(iter(apart.items()))
        return (
            f"{name} is of another patient or study than {other}, so it is not used: press Start "
            "anew and send it again, or untick the others."
        )

    def goes_with_structures(self, key: str | None) -> bool:
        """Whether structures may be seen over an image: not if it is known to be another
        patient's."""
        rows = {row.key: row for row in self.rows()}
        if key not in rows or self.drawn_on not in rows:
            return True
        return not of_two_patients(rows[key], rows[self.drawn_on])

    def volume_of(self, row: InputRow) -> Volume:
        """An input with the sequence that it is taken for."""
        return self.images[row.key].volume.replace(sequence=row.sequence)

    def real_beside(self, key: str) -> str | None:
        """The image to show beside a synthetic one: the real one, else the first input."""
        rows = self.rows()
        row = next((row for row in rows if row.key == key), None)
        if row is None:
            return None
        others = (*self.used(), *rows)
        real = [each for each in others if not each.synthetic and not of_two_studies(each, row)]
        beside = real_of(row, rows) or next(iter(real), None)
        return beside.key if beside is not None else None

    # ------------------------------------------------------------------------ synthesis

    def used(self) -> tuple[InputRow, ...]:
        """The inputs of a synthesis."""
        return panel.selected(self.rows(), self.model)

    def targets(self) -> tuple[panel.TargetRow, ...]:
        """What can be made."""
        return panel.target_rows(self.rows(), self.used(), self.ticked_targets, self.model)

    def tick_target(self, sequence: str, ticked: bool) -> None:
        """The visitor wants a sequence, or does not."""
        wanted = [row.sequence for row in self.targets() if row.ticked]
        wanted = [name for name in wanted if name != sequence]
        if ticked and sequence in SEQUENCES:
            wanted.append(sequence)
        self.ticked_targets = tuple(wanted)

    def understanding(self) -> panel.Understanding:
        """What is going to be made, in words."""
        ticked = [row.sequence for row in self.targets() if row.ticked]
        return panel.understand_targets(ticked, self.prompt, self.used(), self.model)

    def why_not_apply(self, running: bool = False) -> str:
        """Why nothing can be made now; empty if it can."""
        reason = panel.why_disabled(
            self.rows(), self.used(), self.understanding(), self.model, running=running
        )
        if not self.images:
            return "Bring images first: drop files or a DICOM folder on this page."
        return reason

    def synthesis(self, visible_slice: int | None) -> Order:
        """The request for what is ticked.

        Raises
        ------
        InputError
            If that is not possible.
        """
        if reason := self.why_not_apply():
            raise InputError(reason)
        request = panel.synthesis_parameters(
            self.understanding(), seed=self.seed, visible_slice=visible_slice
        )
        used = self.used()
        origin = Origin(
            next(filter(None, (row.patient for row in used)), ""),
            next(filter(None, (row.study for row in used)), ""),
        )
        volumes = tuple(self.volume_of(row) for row in used)
        keys = tuple(row.key for row in used)
        return Order(panel.SYNTHESIS_TASK, request, volumes, origin, keys)

    def take_synthesis(self, result: Any, order: Order) -> list[str]:
        """Add the synthetic images of a result, each with its uncertainty; their keys."""
        made = [
            (name, volume)
            for name, volume in result.volumes
            if volume.provenance is not None and volume.provenance.kind == "image"
        ]
        maps = dict(result.volumes)
        keys = []
        for name, volume in made:
            (key,) = self.add([volume], origin=order.origin, made_from=order.made_from)
            if f"{name}_uncertainty" in maps:
                self.uncertainty[key] = maps[f"{name}_uncertainty"]
            keys.append(key)
        return keys

    # ----------------------------------------------------------------------- structures

    def used_to_segment(self) -> tuple[InputRow, ...]:
        """The inputs of a segmentation; synthetic images stand in for missing ones."""
        return panel.selected(self.rows(), self.segmenter, synthetic_too=True)

    def structures(self) -> tuple[str, ...]:
        """What is looked for."""
        return segment_panel.ticked_structures(self.ticked_structures, self.segmenter)

    def why_not_segment(self, running: bool = False) -> str:
        """Why nothing can be delineated now; empty if it can."""
        if not self.images:
            return "Bring images first: drop files or a DICOM folder on this page."
        reason = segment_panel.why_disabled(
            self.rows(),
            self.used_to_segment(),
            self.structures(),
            self.segmenter,
            running=running,
        )
        return reason or self._why_not_anew()

    def _why_not_anew(self) -> str:
        """Why a result would replace structures that the visitor corrected; empty if it would
        not."""
        used = self.used_to_segment()
        if not self.history.edited or not used or not self._apart(used):
            return ""
        name = self.images[self.drawn_on].volume.name
        return (
            f"The structures that you corrected lie on {name}, and {used[0].name} is the first "
            f"input now: untick that, or download the structures and remove {name}."
        )

    def _apart(self, used: Sequence[InputRow]) -> bool:
        """Whether structures on the first of these inputs do not go with those that are there."""
        if self.segmentation is None:
            return False
        first = self.images[used[0].key].volume
        return not first.same_geometry(self.segmentation.reference) or bool(
            segment_panel.of_another_examination(self.drawn_on, used, self.rows())
        )

    def segmenting(self) -> Order:
        """The request for the ticked structures.

        Raises
        ------
        InputError
            If that is not possible.
        """
        if reason := self.why_not_segment():
            raise InputError(reason)
        request = segment_panel.segmentation_parameters(self.structures())
        used = self.used_to_segment()
        volumes = tuple(self.volume_of(row) for row in used)
        keys = tuple(row.key for row in used)
        return Order(segment_panel.SEGMENTATION_TASK, request, volumes, made_from=keys)

    def take_segmentation(self, result: Any, order: Order) -> None:
        """Keep a result; structures that the visitor corrected stay as they are."""
        from MRISynthSegmentLib.task import segmentation_from

        new = segmentation_from(result, order.volumes[0])
        rows = {row.key: row for row in self.rows()}
        used = [rows[key] for key in order.made_from]
        if self.segmentation is None or self._apart(used):
            self.bring_structures(new, used[0].key)
            return
        edited = self.history.edited
        self.segmentation = merged(self.segmentation, new, edited=edited)
        self.history.forget(name for name in new.masks if name not in edited)

    def bring_structures(self, structures: Segmentation, key: str) -> None:
        """Have structures that lie on an image in the place of those before.

        Raises
        ------
        InputError
            If the visitor corrected those before.
        """
        if self.history.edited:
            raise InputError(
                "There are structures that you corrected; download them and press Start anew "
                "before you bring others."
            )
        self.segmentation, self.drawn_on = structures, key
        self.history = CorrectionHistory()

    def why_not_correct(self) -> str:
        """Why clicks cannot correct anything; empty if they can."""
        if self.segmenter is None or not self.segmenter.metadata.get("clicks"):
            name = self.segmenter.name if self.segmenter is not None else "installed"
            return f"The model {name} takes no clicks; its contours can be edited in 3D Slicer."
        return ""

    def correction(self, structure: str, point_lps: Sequence[float], adds: bool) -> Order:
        """The request for a click on a structure.

        Raises
        ------
        InputError
            If there are no contours to correct, or their images are gone.
        """
        if reason := self.why_not_correct():
            raise InputError(reason)
        if self.segmentation is None or structure not in self.segmentation.masks:
            raise InputError("There is no such structure yet; find structures first.")
        used = self.used_to_segment()
        inputs = tuple(self.volume_of(row) for row in used)
        reference = self.segmentation.reference
        if not used or self._apart(used):
            raise InputError(
                "The image on which the structures were found is not the first input any more; "
                "tick it again."
            )
        click = Click(tuple(float(value) for value in point_lps), bool(adds))
        mask = reference.with_voxels(self.segmentation.masks[structure], name=structure)
        clicks = (*self.history.clicks(structure), click)
        request = segment_panel.refinement_parameters(structure, clicks)
        return Order(segment_panel.REFINEMENT_TASK, request, (*inputs, mask))

    def take_correction(
        self, result: Any, order: Order, exclusive: bool = False
    ) -> dict[str, float]:
        """Keep the corrected structure; each that changed -> millilitres by which it grew.

        ``exclusive``: what is added is taken away from all other structures.
        """
        name = str(order.parameters["structure"])
        click = clicks_from_plain(order.parameters["clicks"])[-1]
        present = self.segmentation.masks
        masks = {name: np.asarray(result[name].voxels, bool)}
        if exclusive:
            others = {other: mask for other, mask in present.items() if other != name}
            masks |= taken_from(others, present[name], masks[name])
        before = {each: present[each] for each in masks}
        self.history.record(name, click, before, masks)
        self.segmentation = corrected(self.segmentation, masks, self._said())
        millilitres = np.prod(self.segmentation.reference.spacing) / 1000
        return {
            each: float(millilitres * (int(mask.sum()) - int(before[each].sum())))
            for each, mask in masks.items()
        }

    def undo(self) -> tuple[str, ...]:
        """Take the last correction back; the structures that changed."""
        return self._step(self.history.undo)

    def redo(self) -> tuple[str, ...]:
        """Take the last :meth:`undo` back."""
        return self._step(self.history.redo)

    def _step(self, step: Any) -> tuple[str, ...]:
        if self.segmentation is None:
            return ()
        masks = step(self.segmentation.masks)
        if masks:
            self.segmentation = corrected(self.segmentation, masks, self._said())
        return tuple(masks)

    def _said(self) -> str:
        return "" if CORRECTED_NOTE in self.segmentation.warnings else CORRECTED_NOTE

    # ------------------------------------------------------------------------ comparison

    def comparison(self, real: str, synthetic: str) -> Order:
        """The request for numbers on two images, in the body and in the targets.

        Raises
        ------
        InputError
            If they are not a real and a synthetic image of one sequence.
        """
        first, second = self.images.get(real), self.images.get(synthetic)
        rows = {row.key: row for row in self.rows()}
        if first is None or second is None or not second.volume.is_synthetic:
            raise InputError("Choose a real and a synthetic image to compare.")
        if of_two_patients(rows[real], rows[synthetic]):
            raise InputError(
                f"'{rows[synthetic].name}' is of another patient than '{rows[real].name}'; choose "
                "two images of one patient."
            )
        if rows[real].sequence != rows[synthetic].sequence:
            raise InputError(
                f"A difference needs the real {rows[synthetic].sequence}, and "
                f"'{rows[real].name}' is {rows[real].sequence or 'of no known sequence'}."
            )
        volumes = [self.volume_of(rows[real]), self.volume_of(rows[synthetic])]
        if self.segmentation is not None:
            reference = self.segmentation.reference
            volumes += [
                reference.with_voxels(mask, name=name)
                for name, mask in self.segmentation.masks.items()
                if name.startswith("GTV") and mask.any()
            ]
        return Order("comparison", {}, tuple(volumes))
