"""The segmentation beside another: figures, both outlines, contours on two images."""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _

from MRISynthLib.errors import InputError
from MRISynthLib.node_attributes import warnings_of
from MRISynthLib.review.pairing import two_patients_among
from MRISynthSegmentLib import panel as decisions
from MRISynthWidgets.node_watch import NodeWatch
from MRISynthWidgets.panel_widget import WARNING_STYLE
from MRISynthWidgets.scene_inputs import frame_of_reference_of
from MRISynthWidgets.section import Section

from .section_work import SectionWork

FILES = "Contours (*.dcm *.nrrd *.nii *.nii.gz);;All files (*)"  # DICOM files often have no suffix


class ComparisonSection(Section):
    """Section "Compare"; the figures are a table node, kept with the scene."""

    uiName = "MRISynthSegmentComparison"
    placeName = "sectionsPlace"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self._outlined: tuple = ()
        self._measured: tuple | None = None
        self._other = NodeWatch(self.panel.scheduleRefresh)
        self._filled = None
        self.work = SectionWork(
            self,
            self.ui.comparisonProgressBar,
            self.ui.comparisonCancelButton,
            self.ui.comparisonLabel,
        )
        self.ui.compareButton.connect("clicked(bool)", self.onCompareButton)
        self.ui.loadButton.connect("clicked(bool)", self.onLoadButton)
        self.ui.saveTableButton.connect("clicked(bool)", self.onSaveTableButton)
        self.ui.sideBySideButton.connect("clicked(bool)", self.onSideBySideButton)
        self.ui.comparisonTable.connect("cellClicked(int,int)", self.onCellClicked)

    # --------------------------------------------------------------------------- display

    def refresh(self, parameters) -> None:
        """Show the figures, the outlines, and what can be done."""
        first, second = parameters.segmentation, parameters.compareWith
        self._other.watch([second])
        apart = self._whyApart(first, second)
        reason = decisions.why_no_comparison(first, second, running=self.work.running) or apart
        self.ui.compareButton.enabled = not reason
        self.ui.compareButton.toolTip = reason or _(
            "Measure Dice, distances, volumes and shifts of all structures that both have."
        )
        self.ui.loadButton.enabled = not self.work.running and first is not None
        self._fill(parameters.comparison)
        self._sayOfWhat(parameters, apart)
        table = parameters.comparison
        self.ui.saveTableButton.enabled = table is not None
        both = first is not None and second is not None and first is not second
        self.ui.outlinesCheckBox.enabled = both
        self._showOutlines(
            (first, second) if both and parameters.compareOutlines else (), parameters
        )
        left, right = parameters.compareLeft, parameters.compareRight
        self.ui.sideBySideButton.enabled = left is not None and right is not None
        self._suggestImages(parameters)

    def _fill(self, node) -> None:
        state = None if node is None else (node.GetID(), node.GetMTime())
        if state == self._filled:
            return
        self._filled = state
        from MRISynthSegmentLib.compared.mrml import comparison_texts

        columns, rows = comparison_texts(node)
        table = self.ui.comparisonTable
        table.setRowCount(0)
        table.setColumnCount(len(columns))
        table.setHorizontalHeaderLabels(columns)
        table.setRowCount(len(rows))
        for index, cells in enumerate(rows):
            for column, text in enumerate(cells):
                table.setItem(index, column, qt.QTableWidgetItem(text))
        table.resizeColumnsToContents()
        table.setVisible(bool(rows))

    def _whyApart(self, first, second) -> str:
        """Why two segmentations are not of one patient; empty if they may be."""
        if first is None or second is None:
            return ""
        images = [self.logic.referenceOf(node) for node in (first, second)]
        keys = [image.GetID() if image is not None else "" for image in images]
        names = first.GetName(), second.GetName()
        return decisions.of_two_patients_contours(names, keys, self.panel.rows)

    def _sayOfWhat(self, parameters, apart: str) -> None:
        """Whose figures the table has, and whether these are still so; ``apart``: why the chosen
        ones are not compared."""
        from MRISynthSegmentLib.compared.mrml import compared_names

        names, label = compared_names(parameters.comparison), self.ui.comparedLabel
        nodes = parameters.segmentation, parameters.compareWith
        current = decisions.are_compared(
            names, [node.GetName() if node is not None else "" for node in nodes]
        ) and self._areAsMeasured(parameters.comparison, nodes)
        text = decisions.compared_words(names, current=current) if names else ""
        text = "\n".join(filter(None, (apart, text)))
        label.text = text
        label.setStyleSheet("" if current and not apart else WARNING_STYLE)
        label.setVisible(bool(text))

    def _areAsMeasured(self, table, nodes) -> bool:
        from MRISynthSegmentLib.compared.mrml import as_compared

        state = self._state(nodes)
        if self._measured is None:  # the figures came with a scene
            self._measured = state if as_compared(table, nodes) else ()
        return self._measured == state

    @staticmethod
    def _state(nodes) -> tuple:
        """What changes when other segmentations are chosen, or these are edited."""
        from MRISynthLib.review.regions.mrml import segments_state

        return tuple(map(segments_state, nodes))

    def _suggestImages(self, parameters) -> None:
        """The first time, a real image and a synthetic one of the same sequence if there is."""
        if parameters.compareLeft is not None or parameters.compareRight is not None:
            return
        keys = decisions.image_pair(self.panel.rows)
        if keys:
            parameters.compareLeft, parameters.compareRight = (
                slicer.mrmlScene.GetNodeByID(key) for key in keys
            )

    def _showOutlines(self, nodes: tuple, parameters) -> None:
        pairs, problem = {}, ""
        if nodes:
            try:
                pairs = self._pairs(parameters)
            except InputError as error:  # such as two structures of one name
                nodes, problem = (), str(error)
        names = [node.GetName() for node in nodes]
        self.ui.legendLabel.text = decisions.legend(*names) if names else problem
        self.ui.legendLabel.setVisible(bool(self.ui.legendLabel.text))
        wanted = (*nodes, tuple(pairs.items())) if nodes else ()
        if wanted == self._outlined:
            return
        from MRISynthSegmentLib.shown.mrml import hide_outlines, show_outlines

        for node in self._outlined[:2]:
            if node not in nodes:
                hide_outlines(node)
        if not nodes:  # also of a scene that was saved with outlines
            for node in (parameters.segmentation, parameters.compareWith):
                hide_outlines(node)
        else:
            show_outlines(*nodes, pairs)
        self._outlined = wanted

    def _pairs(self, parameters) -> dict[str, str]:
        """Structures of which both outlines are shown: name in the first -> in the second."""
        from MRISynthSegmentLib.compared.mrml import names_in_common

        every = names_in_common(parameters.segmentation, parameters.compareWith)
        chosen = parameters.comparedStructure
        return {chosen: every[chosen]} if chosen in every else every

    # ------------------------------------------------------------------------------ work

    def onCompareButton(self) -> None:
        """Measure in the inference process."""
        from MRISynthSegmentLib.compared.mrml import comparison_steps, looks_of

        with self.panel.showingErrors():
            parameters = self.logic.getParameterNode()
            nodes = parameters.segmentation, parameters.compareWith
            state, looks = self._state(nodes), looks_of(nodes)
            self.work.start_after(
                comparison_steps(*nodes),
                decisions.COMPARISON_TASK,
                lambda result: self._compared(result, state, looks),
            )

    def _compared(self, result, state: tuple, looks: list) -> None:
        from MRISynthSegmentLib.compared.mrml import keep_comparison

        parameters = self.logic.getParameterNode()
        self._measured = state
        parameters.comparison = keep_comparison(result.info, parameters.comparison, looks)
        self.work.say("\n".join(decisions.comparison_sentences(result.info)))

    def onLoadButton(self) -> None:
        """Ask for a file with contours and read it."""
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Load contours"), "", FILES
        )
        if not path:
            return
        with self.panel.showingErrors():
            node = self.logic.getParameterNode().segmentation
            self.work.start(
                decisions.CONTOURS_TASK,
                {"path": path},
                [self._gridInItsFrame(node)],
                lambda result: self._loaded(path, node, result),
            )

    @staticmethod
    def _gridInItsFrame(node):
        """The image of a segmentation with its frame of reference, if Slicer's DICOM database knows
        it: contours of another frame are refused then."""
        from MRISynthSegmentLib.compared.mrml import needed_grid
        from MRISynthSegmentLib.exported.mrml import images_behind

        grid = needed_grid(node)
        frame = next(filter(None, map(frame_of_reference_of, images_behind(node))), "")
        known = {"FrameOfReferenceUID": frame} if frame else {}
        return grid.replace(acquisition={**grid.acquisition, **known})

    def _loaded(self, path: str, first, result) -> None:
        from MRISynthSegmentLib.compared.mrml import contours_node

        node = contours_node(path, first, result)
        self.logic.getParameterNode().compareWith = node
        self.work.say("\n".join(warnings_of(node)))

    def onCellClicked(self, index: int, column: int) -> None:
        """Bring a structure into all views, and show its outlines only; at the second click, all
        outlines again."""
        parameters = self.logic.getParameterNode()
        name = self.ui.comparisonTable.item(index, 0).text()
        again = parameters.comparedStructure == name
        parameters.comparedStructure = "" if again else name
        if not again and parameters.segmentation is not None:
            from MRISynthSegmentLib.compared.mrml import jump_to_name

            with self.panel.showingErrors():  # such as two structures of one name
                jump_to_name(parameters.segmentation, name)
        self.panel.scheduleRefresh()

    def onSaveTableButton(self) -> None:
        """Ask for a file name and write the figures."""
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save table"), "comparison.csv", "*.csv"
        )
        if path:
            from MRISynthSegmentLib.compared.mrml import save_table

            with self.panel.showingErrors():
                table = self.logic.getParameterNode().comparison
                self.work.say(_("Saved as {path}.").format(path=save_table(table, path)))

    def onSideBySideButton(self) -> None:
        """Both images side by side, linked, with contours on each."""
        from MRISynthSegmentLib.compared.mrml import show_on_both

        with self.panel.showingErrors():
            parameters = self.logic.getParameterNode()
            images = parameters.compareLeft, parameters.compareRight
            self._checkOnePatient((*images, self.logic.referenceOf(parameters.segmentation)))
            show_on_both(
                images,
                parameters.segmentation,
                parameters.comparedStructure,
            )

    def _checkOnePatient(self, images: tuple) -> None:
        """One patient's contours are not shown over another's image."""
        keys = [image.GetID() for image in images if image is not None]
        apart = two_patients_among(row for row in self.panel.rows if row.key in keys)
        if apart is not None:
            words = _("{first} and {second} are of two patients; choose images of one.")
            raise InputError(words.format(first=apart[0].name, second=apart[1].name))

    def onSceneClosing(self) -> None:
        """See :class:`Section`."""
        self.work.abandon()
        self._other.release()
        self._outlined = ()
        self._measured = None

    def onPanelLeft(self) -> None:
        """See :class:`Section`."""
        self._other.release()

    def cleanup(self) -> None:
        """See :class:`Section`."""
        self.work.abandon()
        self._other.release()
