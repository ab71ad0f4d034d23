"""What was made of an image goes when the image is deleted."""

from __future__ import annotations

import qt
import slicer


class Leftovers:
    """Takes difference maps, checkerboards and uncertainties of deleted images out of the scene,
    whichever module is open."""

    def __init__(self, panel) -> None:
        """``panel`` is the module's widget, which ends the observation."""
        self._made: dict[str, list[str]] = {}
        # who deletes several nodes at one go must not find others gone in between
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._tidy)
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            panel.addObserver(scene, event, self._onSceneChanged)

    def forget(self) -> None:
        """Remove nothing more: the scene closes, or the panel goes away."""
        self._timer.stop()
        self._made = {}

    def _onSceneChanged(self, caller, event) -> None:
        self._timer.start()

    def _tidy(self) -> None:
        from MRISynthLib.review.mrml import made_with

        scene = slicer.mrmlScene
        for key, made in self._made.items():
            for left in map(scene.GetNodeByID, made if scene.GetNodeByID(key) is None else ()):
                if left is not None:
                    scene.RemoveNode(left)
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        self._made = {node.GetID(): [each.GetID() for each in made_with(node)] for node in volumes}
