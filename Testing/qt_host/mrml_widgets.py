"""Stand-ins for Slicer's own widgets, on Slicer's real scene.

Names of properties, signals and slots are those of the classes in Slicer's source (Libs/MRML/
Widgets, Modules/Loadable/*/Widgets, Base/QTGUI).
"""

from __future__ import annotations

import weakref
from typing import ClassVar

from PySide6.QtCore import Property, QTimer, Signal, Slot
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from .ctk_widgets import stored


class qMRMLWidget(QWidget):
    """A widget that knows the scene."""

    mrmlSceneChanged = Signal(object)
    SIGNALS: ClassVar[dict[str, str]] = {
        "mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged(PyObject)"
    }

    living: ClassVar[weakref.WeakSet] = weakref.WeakSet()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = None
        self._tags: list[int] = []
        self.living.add(self)

    def mrmlScene(self):
        return self._scene

    @Slot(object)
    def setMRMLScene(self, scene) -> None:
        self._observe(scene)
        self.mrmlSceneChanged.emit(scene)

    def _observe(self, scene) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        for event in self._events(scene) if scene else ():
            self._tags.append(scene.AddObserver(event, self._scene_changed))

    def _events(self, scene) -> tuple[int, ...]:
        """The scene's events that matter."""
        return ()

    def _scene_changed(self, caller, event) -> None:
        """Something happened in the scene."""


class qSlicerWidget(qMRMLWidget):
    """What the widgets of modules are derived from."""


class qMRMLNodeComboBox(qMRMLWidget):
    """A list of the scene's nodes of some classes."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)
    validNodeChanged = Signal(bool)
    SIGNALS: ClassVar[dict[str, str]] = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged(PyObject)",
        "currentNodeChanged(bool)": "validNodeChanged(bool)",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser(PyObject)",
    }

    nodeTypes = stored("QStringList", "types", [])
    showHidden = stored(bool, "showHidden", False)
    showChildNodeTypes = stored(bool, "showChildNodeTypes", True)
    noneEnabled = stored(bool, "noneEnabled", False)
    addEnabled = stored(bool, "addEnabled", True)
    removeEnabled = stored(bool, "removeEnabled", True)
    editEnabled = stored(bool, "editEnabled", False)
    renameEnabled = stored(bool, "renameEnabled", False)
    noneDisplay = stored(str, "noneDisplay", "None")
    baseName = stored(str, "baseName", "")
    selectNodeUponCreation = stored(bool, "selectNodeUponCreation", True)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box, self._attributes, self._id = QComboBox(self), [], ""
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._box.activated.connect(lambda index: self._choose(self._box.itemData(index)))

    currentNodeID = Property(str, lambda self: self._id, lambda self, key: self._choose(key))

    def _events(self, scene) -> tuple[int, ...]:
        return scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent

    def _scene_changed(self, caller, event) -> None:
        self._update()

    @Slot(object)
    def setMRMLScene(self, scene) -> None:
        super().setMRMLScene(scene)
        self._update()

    @Slot(str, str, object)
    def addAttribute(self, kind: str, attribute: str, value=None) -> None:
        """Show nodes with this attribute only."""
        self._attributes.append((kind, attribute, value))
        self._update()

    def _suits(self, node) -> bool:
        exactly = node.GetClassName() in self.nodeTypes
        derived = self.showChildNodeTypes and any(node.IsA(kind) for kind in self.nodeTypes)
        hidden = node.GetHideFromEditors() and not self.showHidden
        tagged = all(
            node.GetAttribute(key) is not None if value is None else node.GetAttribute(key) == value
            for kind, key, value in self._attributes
            if node.IsA(kind)
        )
        return (exactly or derived) and not hidden and tagged

    def _nodes(self) -> list:
        if self._scene is None:
            return []
        nodes = self._scene.GetNodes()
        there = (nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems()))
        return [node for node in there if self._suits(node)]

    def _update(self) -> None:
        nodes = self._nodes()
        self._box.clear()
        if self.noneEnabled:
            self._box.addItem(self.noneDisplay, "")
        for node in nodes:
            self._box.addItem(node.GetName(), node.GetID())
        ids = [node.GetID() for node in nodes]
        first = "" if self.noneEnabled or not ids else ids[0]
        self._choose(self._id if self._id in ids else first)

    def _choose(self, key: str) -> None:
        known = max(self._box.findData(key or ""), 0)
        self._box.setCurrentIndex(known)
        key = self._box.itemData(known) or ""
        if key != self._id:
            self._id = key
            self.currentNodeChanged.emit(self.currentNode())
            self.validNodeChanged.emit(self.currentNode() is not None)
            self.currentNodeIDChanged.emit(key)

    @Slot(result=int)
    def nodeCount(self) -> int:
        return len(self._nodes())

    def nodeFromIndex(self, index: int):
        return self._nodes()[index]

    def currentNode(self):
        return self._scene.GetNodeByID(self._id) if self._scene and self._id else None

    @Slot(object)
    def setCurrentNode(self, node) -> None:
        """Choose a node, by itself or by its ID."""
        key = node if isinstance(node, str) else node.GetID() if node else ""
        self._choose(key)

    @Slot(str)
    def setCurrentNodeID(self, key: str) -> None:
        self._choose(key)

    @Slot(int)
    def setCurrentNodeIndex(self, index: int) -> None:
        self._choose(self._nodes()[index].GetID())


class qMRMLSegmentsTableView(qMRMLWidget):
    """The segments of a segmentation node, to select from."""

    selectionChanged = Signal(object, object)
    SIGNALS: ClassVar[dict[str, str]] = qMRMLWidget.SIGNALS | {
        "selectionChanged(QItemSelection,QItemSelection)": "selectionChanged(PyObject,PyObject)"
    }

    selectionMode = stored(int, "selectionMode", 3)
    headerVisible = stored(bool, "headerVisible", True)
    visibilityColumnVisible = stored(bool, "visibilityColumnVisible", True)
    colorColumnVisible = stored(bool, "colorColumnVisible", True)
    opacityColumnVisible = stored(bool, "opacityColumnVisible", True)
    statusColumnVisible = stored(bool, "statusColumnVisible", False)
    layerColumnVisible = stored(bool, "layerColumnVisible", False)
    readOnly = stored(bool, "readOnly", False)
    filterBarVisible = stored(bool, "filterBarVisible", False)
    jumpToSelectedSegmentEnabled = stored(bool, "jumpToSelectedSegmentEnabled", False)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._node, self._tag = None, None
        self._table = QTableWidget(0, 2, self)
        self._table.setHorizontalHeaderLabels(["", "Name"])
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self._table.itemSelectionChanged.connect(lambda: self.selectionChanged.emit(None, None))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)

    segmentCount = Property(int, lambda self: self._table.rowCount())

    def segmentationNode(self):
        return self._node

    def tableWidget(self) -> QTableWidget:
        return self._table

    @Slot(object)
    def setSegmentationNode(self, node) -> None:
        if self._node is not None:
            self._node.RemoveObserver(self._tag)
        self._node = node
        if node is not None:
            self._tag = node.AddObserver("AnyEvent", lambda *_: self._update())
        self._update()

    def _update(self) -> None:
        ids = self._ids()
        if ids == [self._table.item(row, 1).text() for row in range(self._table.rowCount())]:
            return
        self._table.setRowCount(len(ids))
        for row, key in enumerate(ids):
            segment = self._node.GetSegmentation().GetSegment(key)
            patch = QTableWidgetItem()
            patch.setBackground(QColor.fromRgbF(*segment.GetColor()))
            self._table.setItem(row, 0, patch)
            self._table.setItem(row, 1, QTableWidgetItem(segment.GetName()))

    def _ids(self) -> list[str]:
        return list(self._node.GetSegmentation().GetSegmentIDs()) if self._node else []

    def selectedSegmentIDs(self) -> list[str]:
        rows = sorted({index.row() for index in self._table.selectedIndexes()})
        return [self._ids()[row] for row in rows]

    def setSelectedSegmentIDs(self, keys: list[str]) -> None:
        self._table.clearSelection()
        for row, key in enumerate(self._ids()):
            for column in range(2 if key in keys else 0):
                self._table.item(row, column).setSelected(True)

    def clearSelection(self) -> None:
        self._table.clearSelection()


class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """A segmentation and one of its segments."""

    currentNodeChanged = Signal(object)
    currentSegmentChanged = Signal(str)
    SIGNALS: ClassVar[dict[str, str]] = qMRMLWidget.SIGNALS | {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged(PyObject)"
    }

    noneEnabled = stored(bool, "noneEnabled", False)
    segmentationNodeSelectorVisible = stored(bool, "segmentationNodeSelectorVisible", True)
    selectNodeUponCreation = stored(bool, "selectNodeUponCreation", True)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._nodes, self._segments = qMRMLNodeComboBox(self), QComboBox(self)
        self._nodes.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._nodes.noneEnabled = True
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._nodes)
        layout.addWidget(self._segments)
        self._nodes.currentNodeChanged.connect(self._node_changed)
        self._segments.currentIndexChanged.connect(
            lambda index: self.currentSegmentChanged.emit(self.currentSegmentID())
        )

    @Slot(object)
    def setMRMLScene(self, scene) -> None:
        super().setMRMLScene(scene)
        self._nodes.setMRMLScene(scene)

    def _node_changed(self, node) -> None:
        self._segments.clear()
        for key in node.GetSegmentation().GetSegmentIDs() if node else ():
            self._segments.addItem(node.GetSegmentation().GetSegment(key).GetName(), key)
        self.currentNodeChanged.emit(node)

    def currentNode(self):
        return self._nodes.currentNode()

    def currentSegmentID(self) -> str:
        return self._segments.currentData() or ""

    @Slot(object)
    def setCurrentNode(self, node) -> None:
        self._nodes.setCurrentNode(node)

    @Slot(str)
    def setCurrentSegmentID(self, key: str) -> None:
        self._segments.setCurrentIndex(self._segments.findData(key))


class qSlicerSimpleMarkupsWidget(qSlicerWidget):
    """The control points of a markups node, and a button to place more."""

    markupsNodeChanged = Signal()
    updateFinished = Signal()
    currentMarkupsControlPointSelectionChanged = Signal(int)

    enterPlaceModeOnNodeChange = stored(bool, "enterPlaceModeOnNodeChange", True)
    jumpToSliceEnabled = stored(bool, "jumpToSliceEnabled", False)
    nodeSelectorVisible = stored(bool, "nodeSelectorVisible", True)
    optionsVisible = stored(bool, "optionsVisible", True)
    positionStatusColumnVisible = stored(bool, "positionStatusColumnVisible", True)
    viewGroup = stored(int, "viewGroup", -1)
    defaultNodeColor = stored(QColor, "defaultNodeColor", QColor("red"))
    nodeColor = stored(QColor, "nodeColor", QColor("red"))

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._node, self._tag = None, None
        self._table, self._place = QTableWidget(0, 4, self), QPushButton("Place", self)
        self._table.setHorizontalHeaderLabels(["Name", "R", "A", "S"])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._place)
        layout.addWidget(self._table)

    def tableWidget(self) -> QTableWidget:
        return self._table

    def currentNode(self):
        return self._node

    @Slot(object)
    def setCurrentNode(self, node) -> None:
        if self._node is not None:
            self._node.RemoveObserver(self._tag)
        changed, self._node = node is not self._node, node
        if node is not None:
            self._tag = node.AddObserver("AnyEvent", lambda *_: self._update())
        self._update()
        if changed:
            self.markupsNodeChanged.emit()

    @Slot(str)
    def setNodeBaseName(self, name: str) -> None:
        self._base_name = name

    @Slot()
    def activate(self) -> None:
        """Begin placing; the host has no mouse."""

    def _update(self) -> None:
        count = self._node.GetNumberOfControlPoints() if self._node else 0
        self._table.setRowCount(count)
        for row in range(count):
            place = self._node.GetNthControlPointPosition(row)
            texts = [self._node.GetNthControlPointLabel(row), *(f"{x:.3f}" for x in place)]
            for column, text in enumerate(texts):
                self._table.setItem(row, column, QTableWidgetItem(text))
        QTimer.singleShot(0, self.updateFinished)


class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):
    """The place of a module's panel; Slicer tells it when the user comes and goes."""

    isEntered = Property(bool, lambda self: self._entered)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entered = False
        self.on_reload = lambda: None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)

    def set_entered(self, entered: bool) -> None:
        """For the host: the user opened the module, or another one."""
        self._entered = entered

    @Slot()
    def reload(self) -> None:
        """Build the panel anew."""
        self.on_reload()
