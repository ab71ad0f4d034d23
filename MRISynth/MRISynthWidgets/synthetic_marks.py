"""The word SYNTHETIC, and where it comes from, in every view that shows such a volume, whatever the
volume is renamed to."""

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


class KeptMarks:
    """What another program left of a synthetic image's mark is its name; here it becomes a mark
    that no new name takes away, as soon as the image is loaded."""

    def __init__(self) -> None:
        # a node gets its name only after it was added, if who adds it does so
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._keep)
        slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeAddedEvent, self._on_added)

    def _on_added(self, caller, event) -> None:
        self._timer.start()

    def _keep(self) -> None:
        from MRISynthLib.node_attributes import keep_mark

        for node in slicer.util.getNodesByClass("vtkMRMLVolumeNode"):
            keep_mark(node)


_marks: SyntheticMarks | None = None
_kept: KeptMarks | None = None


def mark_views() -> None:
    """Mark synthetic volumes from now on; both modules may call this."""
    global _marks, _kept
    if _marks is None:
        _marks, _kept = SyntheticMarks(), KeptMarks()
