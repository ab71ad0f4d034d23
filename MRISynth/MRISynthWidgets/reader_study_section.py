"""The panel's side of a reader study: settings, one question after the other, the result."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from MRISynthLib import packages
from MRISynthLib.reader_study.answers import CONFIDENCES, REASONS, UNDECIDED, Answer, file_in_words
from MRISynthLib.reader_study.plan import REAL, SYNTHETIC

from .installer import SlicerInstaller
from .scene_inputs import patient_of
from .section import Section

FILE_NAME = "reader-study-{seed}.json"
NUMBERS = tuple(f"-{number}" for number in range(2, 1000))
"""What tells apart the files of several studies with one seed."""

LEAST_MILLISECONDS = 500
"""Nobody judges an image sooner: the second click of a double click is no answer to the next."""

FILTER = _("Reader study (*.json)")
TABLE_FILTER = _("Table (*.csv)")


class ReaderStudySection(Section):
    """Section "Reader study"; ``session`` is the study, None before Start."""

    uiName = "MRISynthReaderStudy"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self.session = None
        self._view = None
        self._since = 0.0
        self._steps: list = []
        self._cases: list = []
        self._result = None
        self._loading = qt.QTimer()
        self._loading.setInterval(0)
        self._loading.connect("timeout()", self._loadNext)
        self._settling = qt.QTimer()
        self._settling.setSingleShot(True)
        self._settling.setInterval(LEAST_MILLISECONDS)
        self._settling.connect("timeout()", self._settle)
        self._seen = False
        for words in CONFIDENCES:
            self.ui.confidenceComboBox.addItem(words)
        self._reasons = {words: qt.QCheckBox(words) for words in REASONS}
        for place, box in enumerate(self._reasons.values()):
            self.ui.reasonsBox.layout().addWidget(box, place // 2, place % 2)
        # not exclusive in the .ui file, so that each question can begin with neither
        self._radios = {REAL: self.ui.realButton, SYNTHETIC: self.ui.syntheticButton}
        for radio in self._radios.values():
            radio.connect("clicked(bool)", lambda _on, radio=radio: self._choose(radio))
        for button, function in (
            (self.ui.folderButton, self.onFolderButton),
            (self.ui.fileButton, self.onFileButton),
            (self.ui.startButton, self.onStartButton),
            (self.ui.nextButton, self.onNextButton),
            (self.ui.undecidedButton, self.onUndecidedButton),
            (self.ui.pauseButton, self.onPauseButton),
            (self.ui.endButton, self.onEndButton),
            (self.ui.saveTableButton, self.onSaveTableButton),
            (self.ui.newStudyButton, self.onNewStudyButton),
        ):
            button.connect("clicked(bool)", function)
        self._clearAnswer()
        self._say("")

    def onSceneClosing(self) -> None:
        """See :class:`Section`."""
        self.stop()

    def onPanelLeft(self) -> None:
        """See :class:`Section`."""
        self.stop(keepResult=True)

    def cleanup(self) -> None:
        """See :class:`Section`."""
        self.stop()

    def stop(self, *, keepResult: bool = False) -> None:
        """Take the blinded view away; the study goes on from its file."""
        self._loading.stop()
        self._settling.stop()
        self._steps, self._cases = [], []
        if self._view is not None:
            self._view.release()
        self._view = None
        if not (keepResult and self.session is not None and self.session.study.over):
            self.session = None
        self._say("")

    def _say(self, text: str) -> None:
        self.ui.studyLabel.text = text
        self.ui.studyLabel.setVisible(bool(text))

    @property
    def asking(self) -> bool:
        """Whether a question is open."""
        return self.session is not None and not self.session.study.over

    # --------------------------------------------------------------------------- showing

    def refresh(self, parameters) -> None:
        """Show the settings, the question or the result, whichever it is time for."""
        asking = self.asking
        over = self.session is not None and self.session.study.over
        self.ui.introLabel.setVisible(not asking and not over)
        for area, wanted in (
            (self.ui.setupArea, not asking and not over),
            (self.ui.questionArea, asking),
            (self.ui.resultArea, over),
        ):
            area.setVisible(wanted)
            area.enabled = wanted
        loading = bool(self._steps)
        path = self._file(parameters)
        there = path is not None and path.is_file()
        hint = file_in_words(path) if there and not (asking or over) else ""
        self.ui.fileHintLabel.text = hint
        self.ui.fileHintLabel.setVisible(bool(hint))
        self.ui.startButton.text = (
            _("Stop preparing") if loading else _("Go on with this study") if there else _("Start")
        )
        for name in ("countSpinBox", "seedSpinBox", "readerLineEdit"):
            getattr(self.ui, name).enabled = not there and not loading
        if asking:
            self._showQuestion()
        elif over:
            self._showResult()

    def _showQuestion(self) -> None:
        answered = any(radio.checked for radio in self._radios.values())
        self.ui.nextButton.enabled = answered
        self.ui.nextButton.toolTip = (
            _("Keep the answer and show the next image; there is no way back.")
            if answered
            else _("Say real or synthetic first, or press Cannot tell.")
        )
        number, count = self.session.number, self.session.study.count
        self.ui.questionLabel.text = _("Image {number} of {count}").format(
            number=number, count=count
        )

    def _showResult(self) -> None:
        from MRISynthLib.reader_study.scoring import result_rows, verdict

        found = self.session.score()
        if found == self._result:
            return
        self._result = found
        said = [verdict(found)]
        if self.session.resampled:
            noticed = _("Real images that had to be interpolated, which can be noticed: {names}.")
            said.append(noticed.format(names=", ".join(self.session.resampled)))
        self.ui.verdictLabel.text = "\n".join(said)
        table, rows = self.ui.resultTable, result_rows(found)
        table.setRowCount(len(rows))
        for row, cells in enumerate(rows):
            for place, text in enumerate(cells):
                table.setItem(row, place, qt.QTableWidgetItem(text))
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(1, qt.QHeaderView.ResizeToContents)

    # ---------------------------------------------------------------------------- settings

    def onFolderButton(self) -> None:
        """Let the user choose the folder of cases."""
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Folder with a subfolder for each patient")
        )
        if folder:
            self.logic.getParameterNode().studyFolder = folder

    def onFileButton(self) -> None:
        """Let the user choose the study's file."""
        parameters = self.logic.getParameterNode()
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(),
            _("File of the reader study (an existing one goes on)"),
            parameters.studyFile or str(self._suggestedFile(parameters)),
            FILTER,
            "",
            qt.QFileDialog.DontConfirmOverwrite,
        )
        if path:
            parameters.studyFile = path if path.lower().endswith(".json") else f"{path}.json"

    @staticmethod
    def _folder() -> Path:
        """Where a study's file lies if nothing else is said: beside the scene."""
        scene = slicer.mrmlScene.GetURL()
        return Path(scene).parent if scene else Path.home()

    def _file(self, parameters) -> Path | None:
        """The study's file; a name alone is not taken for one in Slicer's own folder."""
        return self._folder() / parameters.studyFile if parameters.studyFile else None

    def _suggestedFile(self, parameters) -> Path:
        folder = self._folder()
        name = FILE_NAME.format(seed=parameters.studySeed)
        free = (folder / name.replace(".json", f"{again}.json") for again in ("", *NUMBERS))
        return next((path for path in free if not path.exists()), folder / name)

    def onStartButton(self) -> None:
        """Read the images, then show the first that was not answered yet."""
        parameters = self.logic.getParameterNode()
        self.panel.forgetError()
        if self._steps:
            self.stop()
            self._say(_("Stopped; no image was shown."))
            self.panel.scheduleRefresh()
            return
        with self.panel.showingErrors():
            if not parameters.studyFile and slicer.mrmlScene.GetURL():
                parameters.studyFile = str(self._suggestedFile(parameters))
            if not parameters.studyFile:
                self.onFileButton()
            if parameters.studyFile:
                parameters.studyFile = str(self._file(parameters))
                packages.ensure(SlicerInstaller())
                self._say(_("Preparing the images ..."))
                self._read(parameters)
        self.panel.scheduleRefresh()

    def _read(self, parameters) -> None:
        """Have the images read and prepared one case after the other, between Slicer's events."""
        from MRISynthLib.reader_study.images import pairs_among, patient_folders

        self._cases = []
        if parameters.studyFolder:
            folders = patient_folders(Path(parameters.studyFolder))
            self._steps = [partial(self._readFolder, folder) for folder in folders]
        else:
            rows = [row for row in self.logic.inputs.rows() if row.sequence and not row.problem]
            volumes = self.logic.inputs.volumes(rows)
            pairs = pairs_among(volumes, whose=[(row.patient, row.study) for row in rows])
            pairs = pairs or self._reviewed(parameters)
            self._steps = [partial(self._prepare, pair) for pair in pairs]
        self._count = len(self._steps)
        self._loading.start()

    def _reviewed(self, parameters) -> list:
        """The pair of the review, where no other is known: images of other programs."""
        from MRISynthLib import mrml
        from MRISynthLib.reader_study.images import Pair

        nodes = parameters.realVolume, parameters.syntheticVolume
        if None in nodes or nodes[0] is nodes[1]:
            return []
        if len({patient_of(node) for node in nodes} - {""}) > 1:
            return []  # of two patients
        return [Pair(nodes[0].GetName(), *(mrml.volume_from_node(node) for node in nodes))]

    def _readFolder(self, folder: Path) -> None:
        from MRISynthLib.reader_study.images import patient_pairs

        for pair in patient_pairs(folder):
            self._prepare(pair)

    def _prepare(self, pair) -> None:
        self._cases.append(pair.case())

    def _loadNext(self) -> None:
        """Do one step; after the last one begin."""
        done = False
        with self.panel.showingErrors():
            if self._steps:
                step = self._steps.pop(0)
                step()
            if not self._steps:
                self._loading.stop()
                self._begin(self.logic.getParameterNode())
            done = True
        if not done:
            self.stop()
        elif self._steps:
            reading = _("Preparing case {number} of {count} ...")
            number = self._count - len(self._steps) + 1
            self._say(reading.format(number=number, count=self._count))
        self.panel.scheduleRefresh()

    def _begin(self, parameters) -> None:
        from MRISynthLib.reader_study.session import StudySession

        cases, self._cases = self._cases, []
        self._say("")
        self._result = None
        self.session = StudySession(
            cases,
            Path(parameters.studyFile),
            count=parameters.studyCount,
            seed=parameters.studySeed,
            reader=parameters.studyReader,
            source=parameters.studyFolder,
        )
        self._showNext()

    # ---------------------------------------------------------------------------- questions

    def _showNext(self) -> None:
        """Show the next image in the blinded view, or take that away after the last."""
        from MRISynthLib.reader_study.mrml import StudyView

        self._clearAnswer()
        image = self.session.image()
        if image is None:
            if self._view is not None:
                self._view.release()
            self._view = None
            return
        if self._view is None:
            self._view = StudyView()
        self._view.show(image)
        self._seen = False
        self._settling.start()
        self._since = time.monotonic()

    def _settle(self) -> None:
        self._seen = True

    def _clearAnswer(self) -> None:
        for box in (*self._radios.values(), *self._reasons.values()):
            box.checked = False
        self.ui.confidenceComboBox.setCurrentIndex(len(CONFIDENCES) // 2)
        self.ui.commentLineEdit.text = ""

    def _choose(self, chosen) -> None:
        for radio in self._radios.values():
            radio.checked = radio is chosen
        self._showQuestion()

    def onNextButton(self) -> None:
        """Keep the answer."""
        for answer, radio in self._radios.items():
            if radio.checked:
                self._answer(answer, self.ui.confidenceComboBox.currentIndex + 1)
                return

    def onUndecidedButton(self) -> None:
        """Keep that the reader cannot tell."""
        self._answer(UNDECIDED, 0)

    def _answer(self, answer: str, confidence: int) -> None:
        if not (self.asking and self._seen):
            return
        self.panel.forgetError()
        with self.panel.showingErrors():
            self.session.answer(
                Answer(
                    answer,
                    confidence,
                    round(time.monotonic() - self._since, 2),
                    tuple(words for words, box in self._reasons.items() if box.checked),
                    self.ui.commentLineEdit.text.strip(),
                )
            )
            self._showNext()
        self.panel.scheduleRefresh()

    def onPauseButton(self) -> None:
        """Leave the study; its file goes on with this image."""
        self.stop()
        self._say(_("Paused; the answers so far are kept."))
        self.panel.scheduleRefresh()

    def onEndButton(self) -> None:
        """Give up the rest, after asking: there is no way back."""
        if not slicer.util.confirmOkCancelDisplay(
            _("End the study here and show the result? No answers can be added then."),
            _("MRISynth - End the Study"),
        ):
            return
        with self.panel.showingErrors():
            self.session.end()
            self._showNext()
        self.panel.scheduleRefresh()

    # ------------------------------------------------------------------------------ result

    def onSaveTableButton(self) -> None:
        """Write result and answers where the user wants."""
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(),
            _("Table of results"),
            str(self.session.path.with_suffix(".csv")),
            TABLE_FILTER,
        )
        if not path:
            return
        self.panel.forgetError()
        self._say("")
        from MRISynthLib.io.output import file_with_ending

        with self.panel.showingErrors():
            file = file_with_ending(path, ".csv")
            self.session.save_table(file)
            self._say(_("Written: {path}").format(path=file))

    def onNewStudyButton(self) -> None:
        """Go back to the settings for a study in another file."""
        self.stop()
        self.logic.getParameterNode().studyFile = ""
        self.panel.scheduleRefresh()
