"""The word SYNTHETIC, and where it comes from, in every view that shows such a volume."""

from __future__ import annotations

import qt
import slicer


class SyntheticMarks:
    """Marks the views of the present layout, and of the next one when it changes."""

    def __init__(self) -> None:
        self._marks: list = []
        # Widgets of a new layout have their size only after the events at hand.
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._mark)
        manager = slicer.app.layoutManager()
        if manager is not None:  # None without a main window
            manager.connect("layoutChanged(int)", self._layout_changed)
            self._timer.start()

    def _layout_changed(self, layout: int) -> None:
        self._timer.start()

    def _mark(self) -> None:
        from MRISynthLib.annotation.mrml import annotate_desktop_views

        for mark in self._marks:
            mark.release()
        self._marks = annotate_desktop_views()


_marks: SyntheticMarks | None = None


def mark_views() -> None:
    """Mark synthetic volumes from now on; both modules may call this."""
    global _marks
    if _marks is None:
        _marks = SyntheticMarks()
