"""What was found: the table of structures, and how they are shown."""

from __future__ import annotations

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from MRISynthSegmentLib import panel as decisions
from MRISynthWidgets.node_watch import Observers
from MRISynthWidgets.portions import Portions
from MRISynthWidgets.section import Section

from .structure_section import swatch

SHOWN, STRUCTURE, VOLUME, DOUBT = range(4)

SEGMENT_EVENTS = (
    "SegmentAdded",
    "SegmentRemoved",
    "SegmentModified",
    "RepresentationModified",
    "SourceRepresentationModified",  # the Segment Editor says nothing else
)


class ResultSection(Section):
    """Section "Result".

    Attributes
    ----------
    rows: what the table shows, ``MRISynthSegmentLib.panel.ResultRow``.
    """

    uiName = "MRISynthSegmentResult"
    placeName = "sectionsPlace"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self.rows = ()
        self._table = None
        self._surfaces = Portions()
        self._observers = Observers()
        self._watched = None
        self._look = None
        self._filled = None
        header = self.ui.resultTable.horizontalHeader()
        header.setSectionResizeMode(STRUCTURE, qt.QHeaderView.Stretch)
        for column in (SHOWN, VOLUME, DOUBT):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        self.ui.resultTable.connect("cellClicked(int,int)", self.onCellClicked)
        self.ui.resultTable.connect("itemChanged(QTableWidgetItem*)", self.onItemChanged)
        self.ui.showAllButton.connect("clicked(bool)", lambda: self.onShowAll(True))
        self.ui.hideAllButton.connect("clicked(bool)", lambda: self.onShowAll(False))
        self.ui.editButton.connect("clicked(bool)", self.onEditButton)

    def refresh(self, parameters) -> None:
        """Show the segmentation's structures, and how they are shown."""
        node = parameters.segmentation
        self._showInsteadOfBefore(node)
        self._watch(node)
        for button in (self.ui.editButton, self.ui.showAllButton, self.ui.hideAllButton):
            button.enabled = node is not None and not self.panel.portions.running
        from MRISynthSegmentLib.shown.mrml import origin_in_words

        self._agreeOnLook(node, parameters)
        self.ui.originLabel.text = origin_in_words(node)
        self.ui.originLabel.setVisible(bool(self.ui.originLabel.text))
        self._fill(self._rowsOf(node))

    def showNew(self, node) -> None:
        """What was just made is shown as the panel says."""
        self._setLook(node, self._chosenLook(self.logic.getParameterNode()))

    def _showInsteadOfBefore(self, node) -> None:
        """What the user chooses is seen, also if it was hidden for another's sake."""
        before = self._watched[0] if self._watched is not None else None
        if node is None or before is None or before is node:
            return
        from MRISynthSegmentLib.shown.mrml import show_instead

        if show_instead(node, before):
            self.panel.showMessage(decisions.hidden_sentence(before.GetName()))

    @staticmethod
    def _chosenLook(parameters):
        from MRISynthSegmentLib.shown.mrml import Look

        return Look(parameters.fillOpacity, parameters.showOutlines, parameters.show3D)

    def _agreeOnLook(self, node, parameters) -> None:
        """Set what the user changed in the panel; follow what was set elsewhere, as in the
        Segmentations module, or before the segmentation was chosen."""
        from MRISynthSegmentLib.shown.mrml import look_of

        found = look_of(node) if node is not None else None
        if found is None:
            self._look = None
            self._surfaces.stop()
            return
        chosen = self._chosenLook(parameters)
        byUser = self._look is not None and self._look[0] is node and self._look[1] != chosen
        if not byUser and chosen != found:
            chosen = found
            parameters.fillOpacity, parameters.showOutlines, parameters.show3D = found
        if (node, chosen) != self._look:
            self._setLook(node, chosen)
        self._look = (node, chosen)

    def _setLook(self, node, look) -> None:
        """Surfaces that are missing for 3D are made while the window answers."""
        from MRISynthSegmentLib.shown.mrml import set_look, surface_steps

        self._surfaces.stop()
        set_look(node, *look)
        if look.in_3d:
            self._surfaces.start(surface_steps(node), lambda value: None, self._failed)

    def _failed(self, error: Exception) -> None:
        with self.panel.showingErrors():
            raise error

    def _rowsOf(self, node) -> tuple:
        if node is None:
            return ()
        self._followNames(node)
        if self._table is None:
            from MRISynthSegmentLib.shown.mrml import SegmentTable

            self._table = SegmentTable()
        return self._table.rows(node)

    def _fill(self, rows) -> None:
        if rows == self._filled:
            return
        table = self.ui.resultTable
        blocked = table.blockSignals(True)
        try:
            if [row.segment_id for row in rows] != [row.segment_id for row in self.rows]:
                self._rebuild(table, len(rows))
            self.rows = self._filled = rows
            for index, row in enumerate(rows):
                self._fillRow(index, row)
        finally:
            table.blockSignals(blocked)

    @staticmethod
    def _rebuild(table, count: int) -> None:
        table.setRowCount(0)
        table.setRowCount(count)
        for index in range(count):
            for column in range(4):
                table.setItem(index, column, qt.QTableWidgetItem(""))

    def _fillRow(self, index: int, row) -> None:
        table = self.ui.resultTable
        shown, name, volume = (table.item(index, column) for column in range(3))
        shown.setCheckState(qt.Qt.Checked if row.shown else qt.Qt.Unchecked)
        name.setText(row.label)
        name.setIcon(swatch(row.colour))
        volume.setText(row.volume_text())
        doubt = qt.QTableWidgetItem(row.doubt_text())  # a new one has the theme's own colour
        if row.doubt_colour():
            doubt.setForeground(qt.QBrush(qt.QColor(row.doubt_colour())))
        table.setItem(index, DOUBT, doubt)
        for item in (name, volume, doubt):
            item.setToolTip(row.meaning())

    def onCellClicked(self, index: int, column: int) -> None:
        """Bring a structure into all views, or the place where it may be; it is the one to correct
        then."""
        if column == SHOWN or index >= len(self.rows):
            return
        node = self.logic.getParameterNode().segmentation
        if node is None:
            return
        from MRISynthSegmentLib.shown.mrml import jump_to, jump_to_told, warnings_on

        row = self.rows[index]
        if not jump_to(node, row.segment_id):
            # what is said after the run may have gone since, or the scene was opened again
            warnings = warnings_on(node, row.name)
            said = _("{label} was not found.").format(label=row.label), *warnings
            jump_to_told(node, warnings)
            self.panel.showMessage("\n".join(said), warning=len(said) > 1)
        self.logic.getParameterNode().correctedStructure = row.name

    def onItemChanged(self, item) -> None:
        """The user ticked or unticked a structure."""
        if item.column() == SHOWN and item.row() < len(self.rows):
            self._show([self.rows[item.row()]], item.checkState() == qt.Qt.Checked)

    def onShowAll(self, shown: bool) -> None:
        """Show or hide every structure."""
        self._show(self.rows, shown)

    def _show(self, rows, shown: bool) -> None:
        node = self.logic.getParameterNode().segmentation
        if node is None:
            return
        from MRISynthSegmentLib.shown.mrml import show_segments

        self._filled = None  # what is on screen differs from what was filled in last
        ids = [row.segment_id for row in rows]
        show_segments(node, ids if shown else (), () if shown else ids)

    def onEditButton(self) -> None:
        """Go on in Slicer's Segment Editor."""
        with self.panel.showingErrors():
            self.logic.openInSegmentEditor(self.logic.getParameterNode().segmentation)

    # ------------------------------------------------------------------------- observers

    def _watch(self, node) -> None:
        """Refresh when the segmentation or its display changes, wherever that is done."""
        display = node.GetDisplayNode() if node is not None else None
        if (node, display) == self._watched:
            return
        self._unwatch()
        self._watched = (node, display)
        if node is None:
            return
        for name in SEGMENT_EVENTS:
            self._observers.add(node, getattr(slicer.vtkSegmentation, name), self._onChanged)
        if display is not None:
            self._observers.add(display, vtk.vtkCommand.ModifiedEvent, self._onChanged)

    def _unwatch(self) -> None:
        self._observers.release()
        self._watched = None

    def _onChanged(self, caller, event) -> None:
        if not self.panel.portions.running:  # the panel refreshes when all of them are there
            self._followNames(self._watched[0])  # at once: Slicer's own exports ask no panel
            self.panel.scheduleRefresh()

    @staticmethod
    def _followNames(node) -> None:
        from MRISynthSegmentLib.noted.mrml import follow_names

        follow_names(node)

    def onSceneClosing(self) -> None:
        """See :class:`Section`."""
        self._surfaces.stop()
        self._unwatch()
        self._table = self._look = None
        self._fill(())

    def cleanup(self) -> None:
        """See :class:`Section`."""
        self._surfaces.stop()
        self._unwatch()
