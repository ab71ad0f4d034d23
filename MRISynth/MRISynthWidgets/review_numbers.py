"""The numbers of a real and a synthetic volume: measured, shown, and whether they still hold."""

from __future__ import annotations

import json
from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from MRISynthLib import packages
from MRISynthLib.errors import Cancelled, MRISynthError

from .installer import SlicerInstaller
from .panel_widget import WARNING_STYLE
from .section import Section
from .worker_run import WorkerRun

COMPARISON_TASK = "comparison"

COMPARISON_ATTRIBUTE = "MRISynth.Comparison"
"""Attribute of a difference map's node: what the comparison found, as JSON."""

TABLE_HEAD, TABLE_ROW, TABLE_ROWS = 30, 32, 8
"""Pixels of the table's headline and of a row, and how many rows are seen without scrolling."""

OUT_OF_DATE = _(
    "The images, their place, the regions or the alignment are not those that were compared, so no "
    "numbers are shown and a difference map is out of date: press 'Compare in numbers' again."
)


class ReviewNumbers:
    """That part of the section "Review": its button, its table and its words.

    ``onDifference(real, synthetic)`` is called when a difference map was made.
    """

    def __init__(self, section: Section, onDifference: Callable) -> None:
        self.panel, self.logic, self.ui = section.panel, section.logic, section.ui
        self._onDifference = onDifference
        self._shown = None
        self._fingerprint: tuple = ((), "")
        self.comparing = WorkerRun(
            self._onProgress, lambda ready: None, self._onCompared, self._onStopped, self._onFailed
        )
        self._say("")

    @property
    def running(self) -> bool:
        """Whether a pair is being measured."""
        return self.comparing.running

    def abandon(self) -> None:
        """Await nothing any more."""
        self.comparing.abandon()
        self._say("")

    def forget(self) -> None:
        """The scene is another one."""
        self._shown = None

    def compare(self) -> None:
        """Ask the worker for numbers and difference map of the pair.

        Raises
        ------
        MRISynthError
            If a volume cannot be used, or the worker not be asked.
        """
        from MRISynthLib.review.measured import fingerprint

        packages.ensure(SlicerInstaller())
        parameters = self.logic.getParameterNode()
        pair = parameters.realVolume, parameters.syntheticVolume
        images, masks = self._chosenVolumes(parameters)
        align = parameters.reviewAlign
        self._pair = tuple(node.GetID() for node in pair)
        self._measured = fingerprint(images, masks, align=align)
        request = {"align": align}
        self.comparing.start(parameters.device, COMPARISON_TASK, request, [*images, *masks])
        self._say(_("Comparing ..."))

    def _chosenVolumes(self, parameters) -> tuple[list, list]:
        """The pair, with the sequences that the panel shows, and the regions."""
        from MRISynthLib.review.regions.mrml import segment_masks

        rows = {row.key: row for row in self.logic.inputs.rows()}
        pair = parameters.realVolume, parameters.syntheticVolume
        images = self.logic.inputs.volumes([rows[node.GetID()] for node in pair])
        regions = parameters.reviewSegmentation
        return images, segment_masks(regions) if regions is not None else []

    def found(self, parameters) -> tuple[dict, bool]:
        """What the comparison of the pair found, if there was one, and whether it still holds."""
        from MRISynthLib.review.measured import still_holds
        from MRISynthLib.review.mrml import derived_node

        node = derived_node("difference", parameters.realVolume, parameters.syntheticVolume)
        text = node.GetAttribute(COMPARISON_ATTRIBUTE) if node is not None else None
        if not text:
            return {}, False
        found = json.loads(text)
        try:
            return found, still_holds(found.get("measured"), self._chosenFingerprint(parameters))
        except MRISynthError:  # such as a transform that is not linear
            return found, False

    def _chosenFingerprint(self, parameters) -> str:
        """That of what would be compared now; made anew only when something changed."""
        from MRISynthLib.review.measured import fingerprint
        from MRISynthLib.review.regions.mrml import segments_state

        rows = {row.key: row for row in self.logic.inputs.rows()}
        pair = parameters.realVolume, parameters.syntheticVolume
        state = (
            *(self.logic.inputs.state(rows[node.GetID()]) for node in pair),
            segments_state(parameters.reviewSegmentation),
            parameters.reviewAlign,
        )
        if self._fingerprint[0] != state:
            content = self._chosenVolumes(parameters)
            self._fingerprint = (state, fingerprint(*content, align=parameters.reviewAlign))
        return self._fingerprint[1]

    def _regionsProblem(self, parameters) -> str:
        """Why the pair, which is one, cannot be measured in the chosen regions; empty if it can."""
        regions = parameters.reviewSegmentation
        if regions is None:
            return ""
        from MRISynthLib.review.pairing import of_two_patients

        role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        images = {row.key: row for row in self.logic.inputs.rows()}
        drawn_on = images.get(regions.GetNodeReferenceID(role))
        if drawn_on is None or not of_two_patients(drawn_on, images[parameters.realVolume.GetID()]):
            return ""
        text = _("'{contours}' was drawn on an image of another patient; choose other contours.")
        return text.format(contours=regions.GetName())

    def _say(self, text: str) -> None:
        self.ui.compareLabel.text = text
        self.ui.compareLabel.setVisible(bool(text))

    def _onProgress(self, progress) -> None:
        self._say(_("Comparing ..."))

    def _onCompared(self, result) -> None:
        from MRISynthLib.review.mrml import add_derived

        self._say("")
        real, synthetic = (slicer.mrmlScene.GetNodeByID(key) for key in self._pair)
        if real is not None and synthetic is not None:
            with self.panel.showingErrors():
                node = add_derived(result["difference"], real, synthetic)
                found = {**result.info, "measured": self._measured}
                node.SetAttribute(COMPARISON_ATTRIBUTE, json.dumps(found))
                self._onDifference(real, synthetic)
        self.panel.scheduleRefresh()

    def _onStopped(self, error: Cancelled) -> None:
        self._say(_("Stopped; nothing was compared."))
        self.panel.scheduleRefresh()

    def _onFailed(self, error: MRISynthError) -> None:
        self._say("")
        self.panel.showError(str(error))
        self.panel.scheduleRefresh()

    def show(self, parameters, problem: str, *, warn: bool) -> None:
        """Show what was found of the pair; ``problem``: why it cannot be measured, ``warn``: and
        that this should be seen."""
        problem = problem or self._regionsProblem(parameters)
        running = self.comparing.running
        button = self.ui.compareButton
        button.enabled = running or not problem
        button.text = _("Stop comparing") if running else _("Compare in numbers")
        button.toolTip = problem or _(
            "MAE, PSNR and SSIM in the body and in each segment, and the difference map."
        )
        found, holds = ({}, False) if problem else self.found(parameters)
        if (found, holds, problem) == self._shown:
            return
        self._shown = (found, holds, problem)
        self._fillTable(found["figures"] if holds else {})
        said = list(found["warnings"]) if holds else []
        if holds and found["moved_mm"] is not None:
            moved = _("The real image was moved by {mm:.1f} mm for this.")
            said.insert(0, moved.format(mm=found["moved_mm"]))
        outdated = OUT_OF_DATE if found and not holds else ""
        wrong = (problem if warn else "") or outdated  # a tip is not seen
        label = self.ui.numbersLabel
        label.text = wrong or "\n".join(said)
        label.setStyleSheet(WARNING_STYLE if wrong else "")
        label.setVisible(bool(label.text))

    def _fillTable(self, figures: dict) -> None:
        table = self.ui.numbersTable
        table.setVisible(bool(figures))
        height = TABLE_HEAD + TABLE_ROW * min(len(figures), TABLE_ROWS)
        table.minimumHeight = table.maximumHeight = height
        table.setRowCount(len(figures))
        for row, (region, values) in enumerate(figures.items()):
            cells = (
                region,
                f"{values['MAE']:.3f}",
                f"{values['PSNR']:.1f}",
                f"{values['SSIM']:.3f}",
            )
            for place, text in enumerate(cells):
                table.setItem(row, place, qt.QTableWidgetItem(text))
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for place in (1, 2, 3):
            header.setSectionResizeMode(place, qt.QHeaderView.ResizeToContents)
