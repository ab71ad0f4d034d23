"""Slicer's scene, logics and display code, set up without its desktop application."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import slicer
import vtk

from MRISynthLib.mrml import register_layouts, slice_logic
from MRISynthSegmentLib.terminology import terminology_json


@contextmanager
def vtk_silent() -> Iterator[None]:
    """VTK prints nothing inside; for calls that are known to complain or to chat idly."""
    window, warnings = vtk.vtkOutputWindow.GetInstance(), vtk.vtkObject.GetGlobalWarningDisplay()
    vtk.vtkOutputWindow.SetInstance(vtk.vtkStringOutputWindow())  # information
    vtk.vtkObject.GlobalWarningDisplayOff()  # warnings and errors
    try:
        yield
    finally:
        vtk.vtkObject.SetGlobalWarningDisplay(warnings)
        vtk.vtkOutputWindow.SetInstance(window)


class HeadlessScene:
    """A MRML scene with the application's logics around it; use it as a context manager.

    While it is open ``slicer.mrmlScene`` and ``slicer.modules.<name>.logic()`` are its own,
    so that code written for the desktop runs on it. Several may be open in one process, one
    inside the other: closing one gives these names back to the one before. They must be used
    from one thread, as VTK demands.

    Attributes
    ----------
    scene: the vtkMRMLScene.
    application_logic: the vtkSlicerApplicationLogic that knows slice and 3D view logics.
    """

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self._logics: dict[str, slicer.vtkMRMLAbstractLogic] = {}
        self._closing: list = []
        self._before = (getattr(slicer, "mrmlScene", None), getattr(slicer, "modules", None))
        self.closed = False
        self.picture_view = None
        slicer.mrmlScene = self.scene
        slicer.modules = SimpleNamespace()
        self._set_up()

    def _set_up(self) -> None:
        application, scene = self.application_logic, self.scene
        application.SetMRMLScene(scene)
        application.SetSliceLogics(vtk.vtkCollection())
        application.SetViewLogics(vtk.vtkCollection())
        colours = application.GetColorLogic()
        colours.SetMRMLScene(scene)
        colours.AddDefaultColorNodes()
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)  # radiological
        crosshair = slicer.vtkMRMLCrosshairNode()  # views look for it when they are made
        crosshair.SetCrosshairName("default")
        scene.AddNode(crosshair)
        self._set_up_reading()
        self._layout_logic = slicer.vtkMRMLLayoutLogic()
        self._layout_logic.SetMRMLScene(scene)
        register_layouts(scene)
        # Terminologies first: the segmentations logic asks for it.
        for name, logic_class in (
            ("Terminologies", slicer.vtkSlicerTerminologiesModuleLogic),
            ("SubjectHierarchy", slicer.vtkSlicerSubjectHierarchyModuleLogic),
            ("Volumes", slicer.vtkSlicerVolumesLogic),
            ("Segmentations", slicer.vtkSlicerSegmentationsModuleLogic),
            ("Models", slicer.vtkSlicerModelsLogic),
            ("Markups", slicer.vtkSlicerMarkupsLogic),
            ("ColorLegends", slicer.vtkSlicerColorLogic),
        ):
            logic = logic_class()
            logic.SetMRMLApplicationLogic(application)
            with vtk_silent():  # slicer-core lacks the terminology files that Slicer installs
                logic.SetMRMLScene(scene)
            application.SetModuleLogic(name, logic)
            self._logics[name] = logic
            module = SimpleNamespace(logic=lambda logic=logic: logic)
            setattr(slicer.modules, name.lower(), module)
        colours.SetMRMLApplicationLogic(application)
        application.SetModuleLogic("Colors", colours)
        self._load_terminology()
        slicer.modules.colors = SimpleNamespace(logic=lambda: colours)

    def _set_up_reading(self) -> None:
        """Give the scene the folder into which it unpacks the files of a bundle."""
        folder = tempfile.TemporaryDirectory(prefix="mrisynth-scene-")
        self.on_close(folder.cleanup)
        cache = slicer.vtkCacheManager()
        cache.SetMRMLScene(self.scene)
        cache.SetRemoteCacheDirectory(folder.name)
        manager = slicer.vtkDataIOManager()
        manager.SetCacheManager(cache)
        self.scene.SetCacheManager(cache)
        self.scene.SetDataIOManager(manager)

    def _load_terminology(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "MRISynth.term.json"
            path.write_text(terminology_json(), encoding="utf-8")
            self._logics["Terminologies"].LoadTerminologyFromFile(str(path))

    def module_logic(self, name: str) -> slicer.vtkMRMLAbstractLogic:
        """Logic of "Terminologies", "SubjectHierarchy", "Volumes", "Segmentations", "Models"."""
        return self._logics[name]

    def slice_logic(self, view: str) -> slicer.vtkMRMLSliceLogic:
        """Logic of the slice view of this name, made at the first call."""
        return slice_logic(view, self.application_logic)

    def on_close(self, release) -> None:
        """Have ``release()`` called before the scene goes; the last one given is called first."""
        self._closing.append(release)

    def close(self) -> None:
        """Release views, logics and nodes; further calls do nothing."""
        if self.closed:
            return
        self.closed = True
        while self._closing:
            self._closing.pop()()
        # Logics let go of the scene before its nodes do: the other way round crashes.
        slices = self.application_logic.GetSliceLogics()
        for index in range(slices.GetNumberOfItems()):
            slices.GetItemAsObject(index).SetMRMLScene(None)
        slices.RemoveAllItems()
        self._layout_logic.SetMRMLScene(None)
        with vtk_silent():  # the subject hierarchy's logic looks for the scene once more
            for logic in self._logics.values():
                logic.SetMRMLScene(None)
        self.application_logic.SetMRMLScene(None)
        self.scene.Clear(1)
        slicer.mrmlScene, slicer.modules = self._before

    def __enter__(self) -> HeadlessScene:
        return self

    def __exit__(self, *_) -> None:
        self.close()
