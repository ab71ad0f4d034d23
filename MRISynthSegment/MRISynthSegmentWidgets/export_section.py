"""Contours and synthetic images as files, for planning systems and other programs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import ctk
import slicer
from slicer.i18n import tr as _

from MRISynthLib.errors import InputError
from MRISynthSegmentLib import exports
from MRISynthWidgets.section import Section

from .dicom_database import DicomDatabase
from .section_work import SectionWork

FOLDER_SETTING = "MRISynth/ExportFolder"
"""Slicer's setting with the folder that was written into last."""


class ExportSection(Section):
    """Section "Export".

    Places of this machine and names of patients stay out of the scene, which may be given away.
    """

    uiName = "MRISynthSegmentExport"
    placeName = "sectionsPlace"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self.database = DicomDatabase()
        self._staging = ""
        self._reason = ""
        self._about: set[str] = set()
        self.work = SectionWork(
            self,
            self.ui.exportProgressBar,
            self.ui.exportCancelButton,
            self.ui.exportLabel,
            self._dropStaging,
        )
        for each in exports.FORMATS:
            self.ui.formatComboBox.addItem(each.label)
        self.ui.formatComboBox.connect("currentIndexChanged(int)", self.onFormat)
        folder = slicer.app.userSettings().value(FOLDER_SETTING) or ""
        self.ui.folderPathLineEdit.currentPath = folder if Path(folder).is_dir() else ""
        for line in (self.ui.folderPathLineEdit, self.ui.referencePathLineEdit):
            line.filters = ctk.ctkPathLineEdit.Dirs
            line.connect("currentPathChanged(QString)", lambda path: self.panel.scheduleRefresh())
        for edit in (self.ui.patientIDLineEdit, self.ui.patientNameLineEdit):
            edit.connect("textChanged(QString)", lambda text: self.panel.scheduleRefresh())
        self.ui.nobodyCheckBox.connect("toggled(bool)", lambda on: self.panel.scheduleRefresh())
        self.ui.exportButton.connect("clicked(bool)", self.onExportButton)

    # --------------------------------------------------------------------------- display

    def refresh(self, parameters) -> None:
        """Show what the format needs, and whether it can be written."""
        plan = self._plan(parameters)
        combo = self.ui.formatComboBox
        blocked = combo.blockSignals(True)
        combo.setCurrentIndex(exports.FORMATS.index(plan.format))
        combo.blockSignals(blocked)
        self._showNeeded(plan)
        reason = self._whyDisabled(plan)
        self.ui.exportButton.enabled = not reason
        self.ui.exportButton.toolTip = reason or _("Write the files.")
        if not (self.work.running or self._changing) and reason != self._reason:
            self._reason = reason
            self.work.say(reason)

    @property
    def _changing(self) -> bool:
        """Whether half of a result would be written, or contours without the last click."""
        return self.panel.portions.running or self.panel.correction.computing

    def _whyDisabled(self, plan: exports.Plan) -> str:
        return plan.why_disabled(running=self.work.running, changing=self._changing)

    def _showNeeded(self, plan: exports.Plan) -> None:
        ui = self.ui
        for visible, widgets in (
            (plan.format.is_image, (ui.imageTextLabel, ui.imageSelector, ui.burnInCheckBox)),
            (plan.format.is_dicom, (ui.databaseCheckBox,)),
            (plan.format.is_dicom and bool(plan.series), (ui.seriesTextLabel, ui.seriesLabel)),
            (
                plan.format.is_dicom and not plan.found,
                (ui.referenceTextLabel, ui.referencePathLineEdit),
            ),
            (
                plan.asks_patient,
                (
                    ui.patientIDTextLabel,
                    ui.patientIDLineEdit,
                    ui.patientNameTextLabel,
                    ui.patientNameLineEdit,
                    ui.nobodyCheckBox,
                ),
            ),
            (not plan.into_database, (ui.folderTextLabel, ui.folderPathLineEdit)),
        ):
            for widget in widgets:
                widget.setVisible(visible)
        ui.patientIDLineEdit.enabled = ui.patientNameLineEdit.enabled = not plan.nobody
        ui.databaseCheckBox.enabled = plan.has_database
        ui.seriesLabel.text = plan.series_text()

    def _plan(self, parameters) -> exports.Plan:
        """What the user chose, and what the scene and the database know."""
        segmentation, image = parameters.segmentation, parameters.exportImage
        kind = exports.format_of(parameters.exportFormat)
        behind = self._behind(kind, parameters)
        self._dropSaid(image if kind.is_image else segmentation, behind)
        return exports.Plan(
            kind,
            contours=segmentation.GetName() if segmentation is not None else "",
            structures=_count(segmentation),
            image=image.GetName() if image is not None else "",
            image_is_synthetic=image is not None
            and image.GetAttribute("MRISynth.Synthetic") == "1",
            series=behind[0].GetName() if behind else "",
            found=len(self._files(behind)),
            series_folder=self.ui.referencePathLineEdit.currentPath,
            has_database=self.database.is_open,
            wants_database=parameters.exportToDatabase,
            folder=self.ui.folderPathLineEdit.currentPath,
            patient_id=self.ui.patientIDLineEdit.text,
            patient_name=self.ui.patientNameLineEdit.text,
            nobody=self.ui.nobodyCheckBox.checked,
        )

    def _dropSaid(self, node, behind: list) -> None:
        """What the user said of one image, whose it is and where its series is, is not so of
        another that has nothing to do with it."""
        from MRISynthLib.node_attributes import source_ids_of

        if node is None:
            return
        about = {each.GetID() for each in behind}
        about |= {key for each in (node, *behind) for key in source_ids_of(each)}
        about = about or {node.GetID()}
        if self._about and self._about.isdisjoint(about):
            self._clearSaid()
        self._about = about

    def _clearSaid(self) -> None:
        for line in (self.ui.patientIDLineEdit, self.ui.patientNameLineEdit):
            line.text = ""
        self.ui.referencePathLineEdit.currentPath = ""
        self.ui.nobodyCheckBox.checked = False

    def _behind(self, kind: exports.Format, parameters) -> list:
        """The nodes of the images to whose series the result will refer."""
        from MRISynthSegmentLib.exported.mrml import images_behind, inputs_of

        if kind.is_image:
            return list(inputs_of(parameters.exportImage))
        return list(images_behind(parameters.segmentation))

    def _files(self, nodes) -> list[str]:
        return [file for node in nodes for file in self.database.files_of(node)]

    # ------------------------------------------------------------------------- the user

    def onFormat(self, index: int) -> None:
        """The user chose another format."""
        self.logic.getParameterNode().exportFormat = exports.FORMATS[index].name

    def onExportButton(self) -> None:
        """Write, in the inference process where it takes long."""
        with self.panel.showingErrors():
            self.database.forget()
            parameters = self.logic.getParameterNode()
            plan = self._plan(parameters)
            reason = self._whyDisabled(plan)
            if reason:  # since the button was enabled
                raise InputError(reason)
            self.work.say("")  # what was written before is not what is written now
            slicer.app.userSettings().setValue(FOLDER_SETTING, plan.folder)
            if plan.format.name == "seg.nrrd":
                from MRISynthSegmentLib.exported.mrml import save_node

                path = plan.target(plan.folder)
                save_node(parameters.segmentation, path)
                self.work.say(_("Written: {path}").format(path=path))
                return
            folder = plan.folder
            if plan.into_database:
                folder = self._staging = tempfile.mkdtemp(prefix="mrisynth-export-")
            self._begin(parameters, plan, plan.target(folder))

    def _begin(self, parameters, plan: exports.Plan, target: Path) -> None:
        from MRISynthSegmentLib.exported.mrml import contours_steps, image_request

        references = self._files(self._behind(plan.format, parameters))
        if plan.series_folder:
            references.append(plan.series_folder)

        def written(result) -> None:
            self._written(target, result)

        try:
            if plan.format.is_image:
                request, volumes = image_request(
                    plan,
                    parameters.exportImage,
                    target,
                    references,
                    burn_in=parameters.exportBurnIn,
                )
                self.work.start(exports.EXPORT_TASK, request, volumes, written)
            else:
                steps = contours_steps(plan, parameters.segmentation, target, references)
                self.work.start_after(steps, exports.EXPORT_TASK, written)
        except BaseException:
            self._dropStaging()
            raise

    def _written(self, target: Path, result) -> None:
        place = str(target)
        try:
            if self._staging:
                self.database.add(self._staging)
                place = _("Slicer's DICOM database")
        finally:
            self._dropStaging()
        sentences = [_("Written: {path}").format(path=place), *result.info.get("warnings", ())]
        self.work.say("\n".join(sentences))

    def _dropStaging(self) -> None:
        folder, self._staging = self._staging, ""
        if folder:
            shutil.rmtree(folder, ignore_errors=True)

    def onPanelLeft(self) -> None:
        """See :class:`Section`."""
        self.database.forget()  # a study may be imported meanwhile

    def onSceneClosing(self) -> None:
        """See :class:`Section`."""
        self.work.abandon()
        self._dropStaging()
        self._reason, self._about = "", set()
        self._clearSaid()  # the next scene is another patient's

    def cleanup(self) -> None:
        """See :class:`Section`."""
        self.onSceneClosing()


def _count(node) -> int:
    return node.GetSegmentation().GetNumberOfSegments() if node is not None else 0
