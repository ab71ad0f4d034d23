"""What was made of an image goes when the image is deleted."""

from __future__ import annotations

import qt
import slicer


class Leftovers:
    """Takes difference maps, checkerboards and uncertainties of deleted images out of the scene,
    whichever module is open."""

    def __init__(self) -> None:
        self._made: dict[str, list[str]] = {}
        # who deletes several nodes at one go must not find others gone in between
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._tidy)
        scene = slicer.mrmlScene
        events = (scene.NodeAddedEvent, scene.NodeRemovedEvent)
        self._tags = [scene.AddObserver(event, self._onSceneChanged) for event in events]

    def forget(self) -> None:
        """What was made until now is none of its business: the scene closes."""
        self._timer.stop()
        self._made = {}

    def release(self) -> None:
        """Remove nothing any more."""
        for tag in self._tags:
            slicer.mrmlScene.RemoveObserver(tag)
        self._tags = []
        self.forget()

    def _onSceneChanged(self, caller, event) -> None:
        self._timer.start()

    def _tidy(self) -> None:
        from MRISynthLib.review.mrml import made_with, uncertainties_of

        scene = slicer.mrmlScene
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        gone = [made for key, made in self._made.items() if scene.GetNodeByID(key) is None]
        if any(gone):
            # of an image's copies, too
            kept = {each.GetID() for node in volumes for each in uncertainties_of(node)}
            for left in map(scene.GetNodeByID, set().union(*gone) - kept):
                if left is not None:
                    scene.RemoveNode(left)
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        self._made = {node.GetID(): [each.GetID() for each in made_with(node)] for node in volumes}
