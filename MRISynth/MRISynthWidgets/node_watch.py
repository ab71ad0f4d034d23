"""Notice when nodes of the scene change, wherever that is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import slicer


class Observers:
    """Observers of nodes that are removed at one go.

    Slicer's own ``VTKObservationMixin`` would keep deleted nodes in memory, also after its
    ``removeObserver``.
    """

    def __init__(self) -> None:
        self._tags: dict[tuple, int] = {}

    def add(self, node, event, function: Callable) -> None:
        """Have ``function(caller, event)`` called from now on; adding it again does nothing."""
        if (node, event, function) not in self._tags:
            self._tags[node, event, function] = node.AddObserver(event, function)

    def release(self) -> None:
        """Remove them all."""
        for (node, _event, _function), tag in self._tags.items():
            node.RemoveObserver(tag)
        self._tags = {}


class NodeWatch:
    """Calls ``on_change()`` when a watched node gets another name, place or content."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._watched: dict = {}

    def watch(self, nodes: Iterable) -> None:
        """Watch these from now on, and no others; None is left out."""
        wanted = {node for node in nodes if node is not None}
        for node in self._watched.keys() - wanted:
            self._watched.pop(node).release()
        for node in wanted - self._watched.keys():
            self._watched[node] = Observers()
            content = node.GetContentModifiedEvents()
            events = [content.GetValue(index) for index in range(content.GetNumberOfValues())]
            for event in (*events, slicer.vtkMRMLTransformableNode.TransformModifiedEvent):
                self._watched[node].add(node, event, self._changed)

    def release(self) -> None:
        """Watch nothing any more."""
        self.watch(())

    def _changed(self, caller, event) -> None:
        self._on_change()
