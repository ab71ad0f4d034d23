"""The table in which the user sees and chooses the input volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import qt
from slicer.i18n import tr as _

from MRISynthLib.panel import InputRow
from MRISynthLib.provenance import SYNTHETIC_MARK

VOLUME, RECOGNISED, USED_AS = range(3)


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
        self._shown: list[tuple[InputRow, bool]] | None = None
        self._combos: list = []
        header = table.horizontalHeader()
        header.setSectionResizeMode(VOLUME, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(RECOGNISED, qt.QHeaderView.ResizeToContents)
        table.connect("itemChanged(QTableWidgetItem*)", self._item_changed)

    def show(self, rows: Sequence[InputRow], used: Iterable[InputRow]) -> None:
        """Show these rows, with the used ones ticked."""
        used_keys = {row.key for row in used}
        shown = [(row, row.key in used_keys) for row in rows]
        if shown == self._shown:
            return
        blocked = self.table.blockSignals(True)
        try:
            if [row.key for row in rows] != [row.key for row in self._rows]:
                self._rebuild(rows)
            self._rows = tuple(rows)
            for index, (row, is_used) in enumerate(shown):
                self._fill(index, row, is_used)
            self._shown = shown
        finally:
            self.table.blockSignals(blocked)

    def _rebuild(self, rows: Sequence[InputRow]) -> None:
        self.table.setRowCount(0)
        self.table.setRowCount(len(rows))
        self._combos = []
        for index, row in enumerate(rows):
            for column in (VOLUME, RECOGNISED):
                item = qt.QTableWidgetItem("")
                item.setFlags(item.flags() ^ qt.Qt.ItemIsEditable)
                self.table.setItem(index, column, item)
            combo = qt.QComboBox()
            combo.addItem(_("as recognised"))
            for sequence in self.sequences:
                combo.addItem(sequence)
            combo.connect(
                "currentIndexChanged(int)",
                lambda position, key=row.key: self._chosen(key, position),
            )
            self.table.setCellWidget(index, USED_AS, combo)
            self._combos.append(combo)

    def _fill(self, index: int, row: InputRow, is_used: bool) -> None:
        name = self.table.item(index, VOLUME)
        marked = row.synthetic and not row.name.startswith(SYNTHETIC_MARK)
        name.setText(f"{SYNTHETIC_MARK} {row.name}" if marked else row.name)
        name.setToolTip(row.problem or row.name)
        if not row.problem:
            name.setCheckState(qt.Qt.Checked if is_used else qt.Qt.Unchecked)
        recognised = self.table.item(index, RECOGNISED)
        recognised.setText(_("cannot be used") if row.problem else row.recognition_text())
        recognised.setToolTip(row.problem or row.reason)
        combo = self._combos[index]
        blocked = combo.blockSignals(True)
        combo.setCurrentIndex(self.sequences.index(row.chosen) + 1 if row.chosen else 0)
        combo.setEnabled(not row.problem)
        combo.blockSignals(blocked)

    def _item_changed(self, item) -> None:
        row = self._rows[item.row()]
        if item.column() == VOLUME and not row.problem:
            self._shown = None  # what is on screen differs from what was shown last
            self.on_tick(row.key, item.checkState() == qt.Qt.Checked)

    def _chosen(self, key: str, position: int) -> None:
        self._shown = None
        self.on_choose(key, self.sequences[position - 1] if position > 0 else None)
