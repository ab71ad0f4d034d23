"""Stand-ins for CTK's widgets: real widgets with the properties, signals and slots of CTK's.

They know what the modules' panels use and no more; what they lack fails when it is used.
"""

from __future__ import annotations

import enum
from typing import Any

from PySide6.QtCore import Property, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOptionButton,
    QToolButton,
    QWidget,
)

HEADER_HEIGHT = 24
UNLIMITED = 16777215
TICKS = 1000


def stored(kind, key: str, default: Any) -> Property:
    """A property that is only remembered."""

    def read(self):
        return self.__dict__.get(f"_{key}", default)

    def write(self, value):
        self.__dict__[f"_{key}"] = value

    return Property(kind, read, write)


class ctkCollapsibleButton(QAbstractButton):
    """A headline with the widgets of its layout below; collapsed, only the headline."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(0, HEADER_HEIGHT, 0, 0)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.toggled.connect(lambda on: self._collapse(not on))

    def _collapse(self, collapsed: bool) -> None:
        if collapsed != self._collapsed:
            self._collapsed = collapsed
            self.setChecked(not collapsed)
            self.setMaximumHeight(HEADER_HEIGHT if collapsed else UNLIMITED)
            self.contentsCollapsed.emit(collapsed)

    collapsed = Property(bool, lambda self: self._collapsed, lambda self, on: self._collapse(on))
    flat = stored(bool, "flat", False)

    @Slot(bool)
    def setCollapsed(self, collapsed: bool) -> None:
        self._collapse(collapsed)

    def hitButton(self, position) -> bool:
        return position.y() < HEADER_HEIGHT

    def sizeHint(self) -> QSize:
        inner = self.layout().totalSizeHint() if self.layout() else QSize(100, HEADER_HEIGHT)
        return QSize(inner.width(), HEADER_HEIGHT if self._collapsed else inner.height())

    def minimumSizeHint(self) -> QSize:
        inner = self.layout().totalMinimumSize() if self.layout() else QSize(50, HEADER_HEIGHT)
        return QSize(inner.width(), HEADER_HEIGHT if self._collapsed else inner.height())

    def paintEvent(self, event) -> None:
        painter, option = QPainter(self), QStyleOptionButton()
        option.initFrom(self)
        option.rect = QRect(0, 0, self.width(), HEADER_HEIGHT)
        self.style().drawControl(QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        arrow = "\u25b8" if self._collapsed else "\u25be"
        painter.drawText(
            option.rect.adjusted(6, 0, -6, 0),
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
            f"{arrow} {self.text()}",
        )


class ctkCollapsibleGroupBox(QGroupBox):
    """A group box whose check mark shows or hides its contents."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(lambda on: self._collapse(not on))

    def _collapse(self, collapsed: bool) -> None:
        if collapsed != self._collapsed:
            self._collapsed = collapsed
            self.setChecked(not collapsed)
            self.setMaximumHeight(HEADER_HEIGHT if collapsed else UNLIMITED)

    collapsed = Property(bool, lambda self: self._collapsed, lambda self, on: self._collapse(on))
    collapsedHeight = stored(int, "collapsedHeight", HEADER_HEIGHT)

    @Slot(bool)
    def setCollapsed(self, collapsed: bool) -> None:
        self._collapse(collapsed)


class _Number(QWidget):
    """What the number widgets of CTK have in common; the spin box holds the value."""

    valueChanged = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._spin = QDoubleSpinBox(self)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.addWidget(self._spin)
        self._spin.setRange(0, 100)
        self._spin.valueChanged.connect(self.valueChanged)

    def _of_spin(kind, reader, writer):  # noqa: N805
        return Property(
            kind,
            lambda self: getattr(self._spin, reader)(),
            lambda self, value: getattr(self._spin, writer)(value),
        )

    value = _of_spin(float, "value", "setValue")
    minimum = _of_spin(float, "minimum", "setMinimum")
    maximum = _of_spin(float, "maximum", "setMaximum")
    singleStep = _of_spin(float, "singleStep", "setSingleStep")
    decimals = _of_spin(int, "decimals", "setDecimals")
    prefix = _of_spin(str, "prefix", "setPrefix")
    suffix = _of_spin(str, "suffix", "setSuffix")

    @Slot(float)
    def setValue(self, value: float) -> None:
        self._spin.setValue(value)

    @Slot(float)
    def setMinimum(self, value: float) -> None:
        self._spin.setMinimum(value)

    @Slot(float)
    def setMaximum(self, value: float) -> None:
        self._spin.setMaximum(value)

    @Slot(float, float)
    def setRange(self, low: float, high: float) -> None:
        self._spin.setRange(low, high)


class ctkDoubleSpinBox(_Number):
    """A spin box."""


class ctkSliderWidget(_Number):
    """A slider with a spin box."""

    valueChanging = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, TICKS)
        self._row.insertWidget(0, self._slider, 1)
        self._spin.valueChanged.connect(self._move)

    def _move(self, value: float) -> None:
        span = self._spin.maximum() - self._spin.minimum()
        self._slider.setValue(round(TICKS * (value - self._spin.minimum()) / span) if span else 0)

    pageStep = stored(float, "pageStep", 10.0)
    tracking = stored(bool, "tracking", True)

    def _show_spin(self, visible: bool) -> None:
        self._spin.setVisible(visible)

    spinBoxVisible = Property(bool, lambda self: not self._spin.isHidden(), _show_spin)


class ctkComboBox(QComboBox):
    """A combo box with a text for no choice, which may leave the wheel to what it lies in."""

    class ScrollEffect(enum.IntEnum):
        NeverScroll = 0
        AlwaysScroll = 1
        ScrollWithFocus = 2

    NeverScroll, AlwaysScroll, ScrollWithFocus = ScrollEffect
    defaultText = stored(str, "defaultText", "")

    def _set_effect(self, effect: int) -> None:
        self._effect = self.ScrollEffect(effect)
        with_focus = self._effect == self.ScrollWithFocus
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if with_focus else Qt.FocusPolicy.WheelFocus)

    scrollWheelEffect = Property(
        int, lambda self: getattr(self, "_effect", self.AlwaysScroll), _set_effect
    )

    def wheelEvent(self, event) -> None:
        wanted = {self.NeverScroll: False, self.ScrollWithFocus: self.hasFocus()}
        if wanted.get(self.scrollWheelEffect, True):
            super().wheelEvent(event)
        else:
            event.ignore()


class ctkPathLineEdit(QWidget):
    """A line for a path, and a button to choose one."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)
    Files, Writable, Dirs = QFileDialog.Option(0), QFileDialog.Option(0), QFileDialog.Option(0)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._line, self._button = QLineEdit(self), QToolButton(self)
        self._button.setText("...")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._line)
        row.addWidget(self._button)
        self._line.textChanged.connect(self.currentPathChanged)

    currentPath = Property(
        str, lambda self: self._line.text(), lambda self, path: self._line.setText(path)
    )
    filters = stored(int, "filters", 0)
    nameFilters = stored("QStringList", "nameFilters", [])
    settingKey = stored(str, "settingKey", "")
    showHistoryButton = stored(bool, "showHistoryButton", True)
    showBrowseButton = stored(bool, "showBrowseButton", True)

    @Slot(str)
    def setCurrentPath(self, path: str) -> None:
        self._line.setText(path)

    @Slot()
    def addCurrentPathToHistory(self) -> None:
        """The host keeps no history."""
