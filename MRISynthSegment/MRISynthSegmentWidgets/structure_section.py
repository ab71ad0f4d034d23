"""Which structures to look for: a tree with boxes on groups, presets and a search."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from MRISynthSegmentLib import panel as decisions
from MRISynthWidgets.section import Section


class StructureSection(Section):
    """Section "Structures".

    Attributes
    ----------
    ticked: names of the structures to look for, in display order.
    """

    uiName = "MRISynthSegmentStructures"
    placeName = "structuresPlace"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self.ticked: tuple[str, ...] = ()
        self._items: dict[str, qt.QTreeWidgetItem] = {}
        self._groups: list[tuple[qt.QTreeWidgetItem, tuple[str, ...]]] = []
        self._model, self._weak = None, {}
        self._seen: set[str] = set()
        buttons = (
            self.ui.allButton,
            self.ui.targetsButton,
            self.ui.organsButton,
            self.ui.noneButton,
        )
        for button, name in zip(buttons, decisions.PRESETS, strict=True):
            button.connect("clicked(bool)", lambda checked, name=name: self.onPreset(name))
        self.ui.structureTree.connect("itemChanged(QTreeWidgetItem*,int)", self.onItemChanged)
        self.ui.searchLineEdit.connect("textChanged(QString)", self.onSearch)

    def refresh(self, parameters) -> None:
        """Show what is ticked, of what the model knows."""
        model = self.logic.model(parameters.model)
        ticked = list(parameters.structures) if parameters.structuresTouched else None
        self.ticked = decisions.ticked_structures(ticked, model)
        tree = self.ui.structureTree
        blocked = tree.blockSignals(True)
        try:
            self._build(model)
            for name, item in self._items.items():
                item.setCheckState(0, _state(name in self.ticked))
            for group, names in self._groups:
                seen = self._seen.intersection(names)
                count = len(seen.intersection(self.ticked))
                partly = 0 < count < len(seen)
                group.setCheckState(0, qt.Qt.PartiallyChecked if partly else _state(count))
        finally:
            tree.blockSignals(blocked)
        self.ui.structureCountLabel.text = _("{count} of {all} ticked").format(
            count=len(self.ticked), all=len(self._items)
        )

    def _build(self, model) -> None:
        names = decisions.preset("All", model)
        weak = decisions.weak_in(model)
        if tuple(self._items) == names and weak == self._weak:
            return
        tree = self.ui.structureTree
        tree.clear()
        self._items, self._groups, self._model, self._weak = {}, [], model, weak
        for heading, structures in decisions.groups(model):
            group = qt.QTreeWidgetItem()
            group.setText(0, heading)
            tree.addTopLevelItem(group)
            for structure in structures:
                item = qt.QTreeWidgetItem()
                item.setText(0, decisions.structure_text(structure, model))
                item.setToolTip(0, decisions.structure_tip(structure, model))
                item.setIcon(0, swatch(structure.colour))
                group.addChild(item)
                self._items[structure.name] = item
            group.setExpanded(True)
            self._groups.append((group, tuple(structure.name for structure in structures)))
        self.onSearch(self.ui.searchLineEdit.text)

    def onPreset(self, name: str) -> None:
        """Tick the structures of a preset."""
        model = self.logic.model(self.logic.getParameterNode().model)
        self._set(decisions.preset(name, model))

    def onItemChanged(self, changed, column: int) -> None:
        """The user ticked or unticked a structure, or all of a group that is seen."""
        tree, state = self.ui.structureTree, changed.checkState(0)
        blocked = tree.blockSignals(True)
        heading = changed.text(0)
        members = next((names for group, names in self._groups if group.text(0) == heading), ())
        for index in range(changed.childCount()):
            if members[index] in self._seen:  # nobody ticks what the search hides
                changed.child(index).setCheckState(0, state)
        tree.blockSignals(blocked)
        checked = qt.Qt.Checked
        self._set(name for name, item in self._items.items() if item.checkState(0) == checked)

    def onSearch(self, text: str) -> None:
        """Show the structures whose name has these letters; a group goes with its last one."""
        found = self._seen = decisions.structures_like(text, self._model)
        for name, item in self._items.items():
            item.setHidden(name not in found)
        for group, names in self._groups:
            group.setHidden(not found.intersection(names))
        self.panel.scheduleRefresh()  # a group's box is about what is seen of it

    def _set(self, names) -> None:
        parameters = self.logic.getParameterNode()
        parameters.structures = list(names)
        parameters.structuresTouched = True
        self.panel.scheduleRefresh()


def _state(ticked):
    return qt.Qt.Checked if ticked else qt.Qt.Unchecked


def swatch(colour):
    """A small square of a colour (RGB, 0 to 1), for lists."""
    pixmap = qt.QPixmap(12, 12)
    pixmap.fill(qt.QColor(*(round(255 * channel) for channel in colour)))
    return qt.QIcon(pixmap)
