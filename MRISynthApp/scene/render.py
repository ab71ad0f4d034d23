"""Pictures of a scene by Slicer's own view code, off screen.

Slice views are vtkMRMLSliceLogic's images under Slicer's displayable managers, 3D views are
its cameras, models and segment surfaces: what is seen here is what Slicer shows.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from MRISynthLib.annotation.mrml import SolidAnnotation, ViewAnnotation
from MRISynthLib.errors import MRISynthError
from MRISynthLib.mrml import nodes_of_class, place_view

from .headless import HeadlessScene, vtk_silent

SUPERSAMPLING = 2
"""Pictures are drawn this many times larger and averaged: smooth outlines and letters."""

SLICE_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
)
THREED_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
)
_PICTURE = "MRISynthPicture"


class RenderingUnavailable(MRISynthError):
    """This machine has no way to draw: no display, no EGL and no OSMesa."""


class _View:
    """An off-screen window with one renderer and Slicer's displayable managers on it."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.window = off_screen_window()
        self.renderer = vtk.vtkRenderer()
        self.renderer.SetBackground(0.0, 0.0, 0.0)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.window.SetSize(*size)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()

    def attach(self, headless: HeadlessScene, factory, names: Iterable[str], node) -> None:
        """Make the managers; only after whatever must lie under what they draw."""
        factory.SetMRMLApplicationLogic(headless.application_logic)
        for name in names:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.managers.SetRenderer(self.renderer)
        self.managers.Initialize(factory, self.renderer)
        self.managers.SetMRMLDisplayableNode(node)

    def pixels(self) -> np.ndarray:
        """(rows, columns, 3) uint8, first row at the top, averaged down to the asked size."""
        rgb = picture_of(self.window).astype(np.uint16)
        n = SUPERSAMPLING
        height, width = rgb.shape[:2]
        blocks = rgb.reshape(height // n, n, width // n, n, 3).sum(axis=(1, 3))
        return ((blocks + n * n // 2) // (n * n)).astype(np.uint8)

    def close(self) -> None:
        """Give the window's graphics memory back."""
        self.managers.SetMRMLDisplayableNode(None)
        with vtk_silent():  # a 3D view's manager complains about being taken off its renderer
            self.managers.SetRenderer(None)
        self.window.RemoveRenderer(self.renderer)
        self.window.Finalize()
        self.interactor.SetRenderWindow(None)


class SliceView(_View):
    """A slice view of the scene, off screen; close it, or let its HeadlessScene do so.

    ``name`` is the view's layout name: "Red" draws what the Red view of the scene shows.
    """

    def __init__(self, headless: HeadlessScene, name: str, size: tuple[int, int]) -> None:
        super().__init__((size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING))
        self.logic = headless.slice_logic(name)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        mapper = vtk.vtkImageMapper()  # the slice logic's image is RGBA, ready to be shown
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        self.image = vtk.vtkActor2D()
        self.image.SetMapper(mapper)
        self.image.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(self.image)  # first, else segment fills end up under it
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        self.attach(headless, factory, SLICE_MANAGERS, self.logic.GetSliceNode())
        self.logic.ResizeSliceNode(*self.window.GetSize())
        self.annotation = ViewAnnotation(self.renderer, self.logic, names=True, letters=True)

    def resize(self, size: tuple[int, int]) -> None:
        """Change the size of the picture (width, height)."""
        self.window.SetSize(size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
        self.logic.ResizeSliceNode(*self.window.GetSize())

    def picture(self) -> np.ndarray:
        """(height, width, 3) uint8 of the view as it is."""
        connection = self.logic.GetImageDataConnection()
        self.image.GetMapper().SetInputConnection(connection)
        self.image.SetVisibility(connection is not None)
        self.annotation.update()
        return self.pixels()

    def close(self) -> None:
        self.annotation.release()
        self.image.GetMapper().SetInputConnection(None)
        super().close()


def render_slice(
    headless: HeadlessScene,
    background: slicer.vtkMRMLScalarVolumeNode,
    *,
    foreground: slicer.vtkMRMLScalarVolumeNode | None = None,
    foreground_opacity: float = 0.5,
    segmentations: Iterable[slicer.vtkMRMLSegmentationNode] = (),
    focus_lps: Sequence[float] | None = None,
    orientation: str = "Axial",
    reference: slicer.vtkMRMLScalarVolumeNode | None = None,
    width_mm: float | None = None,
    size: tuple[int, int] = (512, 512),
    scale_bar: bool = True,
) -> np.ndarray:
    """Picture of a volume's slice in radiological convention, as (height, width, 3) uint8.

    Parameters
    ----------
    foreground: volume laid over it with ``foreground_opacity`` (0-1).
    segmentations: only these are drawn over it.
    focus_lps: point (mm) whose slice is shown; default: the centre of ``reference``.
    orientation: "Axial", "Coronal" or "Sagittal".
    reference: volume whose axes and extent set plane and magnification (default:
        ``background``); the same for all pictures that are to be compared.
    width_mm: the picture's width, centred at the focus; default: the whole slice.

    A synthetic volume is marked in the picture, always.

    Raises
    ------
    RenderingUnavailable
        If the machine cannot draw.
    """
    view = _picture_view(headless, size)
    logic = view.logic
    composite, node = logic.GetSliceCompositeNode(), logic.GetSliceNode()
    reference = reference or background
    composite.SetBackgroundVolumeID(reference.GetID())
    place_view(logic, reference, focus_lps, orientation)
    if width_mm is not None:
        _zoom(node, width_mm, focus_lps)
    composite.SetBackgroundVolumeID(background.GetID())
    composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else None)
    composite.SetForegroundOpacity(foreground_opacity if foreground is not None else 0.0)
    node.SetRulerType(node.RulerTypeThin if scale_bar else node.RulerTypeNone)
    with _only_visible(headless.scene, segmentations):
        return view.picture()


def render_view(
    headless: HeadlessScene, name: str, size: tuple[int, int] = (512, 512)
) -> np.ndarray:
    """Picture of one of the scene's own slice views ("Red" ...), as (height, width, 3) uint8."""
    node = headless.slice_logic(name).GetSliceNode()
    pixels, extent = node.GetDimensions(), node.GetFieldOfView()
    view = SliceView(headless, name, size)
    try:
        return view.picture()
    finally:
        view.close()
        node.SetDimensions(*pixels)  # the picture's size is not the view's
        node.SetFieldOfView(*extent)


def render_3d(
    headless: HeadlessScene,
    *,
    segmentations: Iterable[slicer.vtkMRMLSegmentationNode] | None = None,
    slice_of: slicer.vtkMRMLScalarVolumeNode | None = None,
    focus_lps: Sequence[float] | None = None,
    azimuth: float = 35.0,
    elevation: float = 20.0,
    size: tuple[int, int] = (512, 512),
) -> np.ndarray:
    """Picture of the scene in 3D, as (height, width, 3) uint8.

    The camera looks at the patient's front, turned by ``azimuth`` degrees towards the
    patient's left and lifted by ``elevation``. ``segmentations`` (default: all) must have
    closed surfaces. ``slice_of`` adds the axial slice of a volume through ``focus_lps``.
    """
    factor = SUPERSAMPLING
    view = _View((size[0] * factor, size[1] * factor))
    renderer = view.renderer
    renderer.SetUseDepthPeeling(True)  # with no multisampling: else clear surfaces vanish
    renderer.SetMaximumNumberOfPeels(8)
    logic = slicer.vtkMRMLViewLogic()
    logic.SetMRMLApplicationLogic(headless.application_logic)
    logic.SetMRMLScene(headless.scene)
    node = logic.AddViewNode(_PICTURE)
    node.SetSaveWithScene(False)
    node.SetBoxVisible(False)
    node.SetAxisLabelsVisible(False)
    node.SetBackgroundColor(0.0, 0.0, 0.0)
    node.SetBackgroundColor2(0.0, 0.0, 0.0)
    node.SetOrientationMarkerType(node.OrientationMarkerTypeCube)
    node.SetOrientationMarkerSize(node.OrientationMarkerSizeMedium)
    annotation = None
    plane = None
    try:
        if slice_of is not None:
            plane = _picture_view(headless, size).logic
            plane.GetSliceCompositeNode().SetBackgroundVolumeID(slice_of.GetID())
            plane.GetSliceCompositeNode().SetForegroundVolumeID(None)
            place_view(plane, slice_of, focus_lps)
            plane.GetSliceNode().SetSliceVisible(True)
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        view.attach(headless, factory, THREED_MANAGERS, node)
        annotation = SolidAnnotation(renderer, node, headless.application_logic)
        with _only_visible(headless.scene, segmentations):
            _aim(view, azimuth, elevation)
            return view.pixels()
    finally:
        if annotation is not None:
            annotation.release()
        if plane is not None:
            plane.GetSliceNode().SetSliceVisible(False)
        view.close()
        logic.SetMRMLScene(None)
        headless.scene.RemoveNode(node)


def save_png(image: np.ndarray, path: Path) -> None:
    """Write a picture; the file appears whole or not at all."""
    from PIL import Image

    beside = path.with_name(path.name + ".part")
    try:
        Image.fromarray(image).save(beside, format="PNG", optimize=True)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _aim(view: _View, azimuth: float, elevation: float) -> None:
    manager = view.managers.GetDisplayableManagerByClassName("vtkMRMLCameraDisplayableManager")
    camera_node = manager.GetCameraNode()
    camera_node.SetSaveWithScene(False)
    camera_node.RotateTo(camera_node.Anterior)
    camera = camera_node.GetCamera()
    view.renderer.ResetCamera()
    camera.Azimuth(azimuth)
    camera.OrthogonalizeViewUp()
    camera.Elevation(elevation)
    camera.OrthogonalizeViewUp()
    view.renderer.ResetCamera()
    camera.Zoom(1.25)
    view.renderer.ResetCameraClippingRange()


def _zoom(node, width_mm: float, focus_lps: Sequence[float] | None) -> None:
    width, height = node.GetDimensions()[:2]
    if focus_lps is not None:
        node.JumpSliceByCentering(-float(focus_lps[0]), -float(focus_lps[1]), float(focus_lps[2]))
    node.SetFieldOfView(width_mm, width_mm * height / width, node.GetFieldOfView()[2])


def _picture_view(headless: HeadlessScene, size: tuple[int, int]) -> SliceView:
    """The scene's one view for pictures: kept, because a window costs more than a picture."""
    view = headless.picture_view
    if view is None:
        view = SliceView(headless, _PICTURE, size)
        view.logic.GetSliceNode().SetSaveWithScene(False)
        view.logic.GetSliceCompositeNode().SetSaveWithScene(False)
        headless.picture_view = view
        headless.on_close(view.close)
    view.resize(size)
    return view


@contextmanager
def _only_visible(scene, segmentations):
    """Only these segmentations are seen inside; None: all as they are."""
    before = []
    if segmentations is not None:
        wanted = {node.GetID() for node in segmentations}
        for node in nodes_of_class(scene, "vtkMRMLSegmentationNode"):
            display = node.GetDisplayNode()
            if display is not None:
                before.append((display, display.GetVisibility()))
                display.SetVisibility(node.GetID() in wanted)
    try:
        yield
    finally:
        for display, visible in before:
            display.SetVisibility(visible)


def picture_of(window: vtk.vtkRenderWindow) -> np.ndarray:
    """What a window shows when it is drawn now: (rows, columns, 3) uint8, first row at the top."""
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.SetInputBufferTypeToRGB()
    grab.ReadFrontBufferOff()
    grab.Update()
    image = grab.GetOutput()
    width, height = image.GetDimensions()[:2]
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1]


def off_screen_window() -> vtk.vtkRenderWindow:
    """A window that VTK can draw in: the display's, or EGL's, or OSMesa's."""
    with vtk_silent():  # it tells of every way that it tried
        window = vtk.vtkRenderWindow()
    if window.IsA("vtkOSOpenGLRenderWindow") and not _osmesa_loads():
        raise RenderingUnavailable(
            "Pictures cannot be drawn on this machine because it has neither EGL nor OSMesa; "
            "install libegl1 and libgl1-mesa-dri (Debian, Ubuntu) or libOSMesa."
        )
    window.SetOffScreenRendering(True)
    window.ShowWindowOff()
    window.SetMultiSamples(0)
    return window


def _osmesa_loads() -> bool:
    names = ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")
    if sys.platform == "win32":
        names = ("osmesa.dll",)
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False
