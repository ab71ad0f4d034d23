"""The table in which the user sees and chooses the input volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import ctk
import qt
from slicer.i18n import tr as _

from MRISynthLib.panel import InputRow
from MRISynthLib.provenance import SYNTHETIC_MARK

VOLUME, SEQUENCE, CHECKS = range(3)
MOST_ROWS = 8
"""So many are seen without scrolling."""


class InputTable:
    """Fills a QTableWidget with :class:`MRISynthLib.panel.InputRow` and reports changes.

    ``on_tick(key, ticked)`` and ``on_choose(key, sequence or None)`` are called when the
    user changes a row. They may ask for a new :meth:`show` only after the event, since it
    can delete the widget that sent it.
    """

    def __init__(
        self,
        table,
        sequences: Sequence[str],
        on_tick: Callable[[str, bool], None],
        on_choose: Callable[[str, str | None], None],
    ) -> None:
        self.table = table
        self.sequences = tuple(sequences)
        self.on_tick = on_tick
        self.on_choose = on_choose
        self._rows: tuple[InputRow, ...] = ()
        self._shown: list | None = None
        self._combos: list = []
        headings = [_("Use as input"), _("Sequence"), _("Checks")]
        table.setColumnCount(len(headings))
        table.setHorizontalHeaderLabels(headings)
        header = table.horizontalHeader()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(VOLUME, qt.QHeaderView.Stretch)
        for column in (SEQUENCE, CHECKS):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.connect("itemChanged(QTableWidgetItem*)", self._item_changed)
        self._fit(0)

    def show(
        self,
        rows: Sequence[InputRow],
        used: Iterable[InputRow],
        checks: Mapping[str, tuple[str, str]],
    ) -> None:
        """Show these rows, with the used ones ticked; ``checks`` is key -> (text, tooltip)."""
        used_keys = {row.key for row in used}
        shown = [(row, row.key in used_keys, checks[row.key]) for row in rows]
        if shown == self._shown:
            return
        blocked = self.table.blockSignals(True)
        try:
            # one that cannot be used has no box
            if _lines(rows) != _lines(self._rows):
                self._rebuild(rows)
            self._rows = tuple(rows)
            for index, entry in enumerate(shown):
                self._fill(index, *entry)
            self.table.resizeColumnToContents(SEQUENCE)
            self._shown = shown
        finally:
            self.table.blockSignals(blocked)

    def _rebuild(self, rows: Sequence[InputRow]) -> None:
        self.table.setRowCount(0)
        self.table.setRowCount(len(rows))
        self._combos = []
        for index, row in enumerate(rows):
            for column in (VOLUME, CHECKS):
                item = qt.QTableWidgetItem("")
                item.setFlags(item.flags() ^ qt.Qt.ItemIsEditable)
                self.table.setItem(index, column, item)
            combo = ctk.ctkComboBox()
            # whoever scrolls the panel passes over it, and must not change a sequence unawares
            combo.scrollWheelEffect = ctk.ctkComboBox.NeverScroll
            combo.setSizeAdjustPolicy(qt.QComboBox.AdjustToContents)
            combo.toolTip = _("Choose the right sequence where it is not recognised, or wrongly.")
            combo.addItem("")
            for sequence in self.sequences:
                combo.addItem(sequence)
            combo.connect(
                "currentIndexChanged(int)",
                lambda position, key=row.key: self._chosen(key, position),
            )
            self.table.setCellWidget(index, SEQUENCE, combo)
            self._combos.append(combo)
        self._fit(len(rows))

    def _fit(self, rows: int) -> None:
        """As high as the rows need, within limits: what comes below should be seen too."""
        each = self.table.verticalHeader().defaultSectionSize
        height = each * (min(max(rows, 1), MOST_ROWS) + 1) + 6
        self.table.setMinimumHeight(height)
        self.table.setMaximumHeight(height)

    def _fill(self, index: int, row: InputRow, is_used: bool, check: tuple[str, str]) -> None:
        name = self.table.item(index, VOLUME)
        unmarked = row.synthetic and SYNTHETIC_MARK not in row.name
        name.setText(f"{SYNTHETIC_MARK} {row.name}" if unmarked else row.name)
        patient = _("Patient {id}").format(id=row.patient) if row.patient else ""
        name.setToolTip("\n".join(filter(None, (row.name, patient, row.problem))))
        if not row.problem:
            name.setCheckState(qt.Qt.Checked if is_used else qt.Qt.Unchecked)
        combo = self._combos[index]
        blocked = combo.blockSignals(True)
        combo.setItemText(0, _("cannot be used") if row.problem else row.recognition_text())
        combo.setCurrentIndex(self.sequences.index(row.chosen) + 1 if row.chosen else 0)
        combo.setEnabled(not row.problem)
        combo.toolTip = row.problem or row.reason or combo.toolTip
        combo.blockSignals(blocked)
        text, tip = check
        item = self.table.item(index, CHECKS)
        item.setText(text)
        item.setToolTip(tip)

    def _item_changed(self, item) -> None:
        row = self._rows[item.row()]
        if item.column() == VOLUME and not row.problem:
            self._shown = None  # what is on screen differs from what was shown last
            self.on_tick(row.key, item.checkState() == qt.Qt.Checked)

    def _chosen(self, key: str, position: int) -> None:
        self._shown = None
        self.on_choose(key, self.sequences[position - 1] if position > 0 else None)


def _lines(rows: Iterable[InputRow]) -> list[tuple[str, bool]]:
    return [(row.key, bool(row.problem)) for row in rows]
