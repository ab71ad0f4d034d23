"""Notice when nodes of the scene change, wherever that is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import slicer


class NodeWatch:
    """Calls ``on_change()`` when a watched node gets another name, place or content.

    Slicer's own ``VTKObservationMixin`` would keep deleted images in memory.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._tags: dict = {}

    def watch(self, nodes: Iterable) -> None:
        """Watch these from now on, and no others; None is left out."""
        wanted = {node for node in nodes if node is not None}
        for node in self._tags.keys() - wanted:
            for tag in self._tags.pop(node):
                node.RemoveObserver(tag)
        for node in wanted - self._tags.keys():
            content = node.GetContentModifiedEvents()
            events = [content.GetValue(index) for index in range(content.GetNumberOfValues())]
            events.append(slicer.vtkMRMLTransformableNode.TransformModifiedEvent)
            self._tags[node] = [node.AddObserver(event, self._changed) for event in events]

    def release(self) -> None:
        """Watch nothing any more."""
        self.watch(())

    def _changed(self, caller, event) -> None:
        self._on_change()
