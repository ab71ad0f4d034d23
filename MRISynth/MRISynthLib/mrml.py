"""Between the engine and a Slicer scene: volumes, their display, side-by-side views.

The one file of the engine that imports ``slicer`` and ``vtk``. It works in desktop Slicer
(5.10 and later) and on the headless libraries of slicer-core. MRML stores RAS millimetres,
:class:`~MRISynthLib.volume.Volume` LPS: the conversion happens here and nowhere else.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from .errors import InputError
from .node_attributes import describe_node, provenance_of, said_of, sequence_of
from .provenance import SYNTHETIC_MARK
from .views import (
    GREY_COLOURS,
    MAP_COLOURS,
    OWN_LAYOUTS,
    SIDE_BY_SIDE,
    SliceLayout,
    display_window,
)
from .volume import Volume

LPS_TO_RAS = np.diag((-1.0, -1.0, 1.0, 1.0))

PROMPT_IN_NAME = 40
"""At most so many letters of a prompt are in a result's name."""


# ---------------------------------------------------------------- volumes


def volume_from_node(node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """The image of a scalar volume node, sharing its voxels' memory (read-only).

    Linear parent transforms are applied to the geometry. Sequence, provenance, acquisition
    and warnings come from the attributes that :func:`node_from_volume` writes.

    Raises
    ------
    InputError
        If the node is no scalar volume, is empty, has several values per voxel or lies
        under a transform that is not linear.
    """
    label = (node.GetName() if node is not None else None) or "The volume"
    if node is None or not node.IsA("vtkMRMLScalarVolumeNode"):
        raise InputError(f"{label} is not an image volume; choose a scalar volume.")
    image = node.GetImageData()
    scalars = image.GetPointData().GetScalars() if image is not None else None
    if scalars is None or scalars.GetNumberOfTuples() == 0:
        raise InputError(f"{label} has no voxels; load its image again or choose another volume.")
    if scalars.GetNumberOfComponents() != 1:
        raise InputError(
            f"{label} has {scalars.GetNumberOfComponents()} values per voxel (colour or vectors); "
            "choose a scalar volume."
        )
    voxels = vtk_to_numpy(scalars).reshape(tuple(reversed(image.GetDimensions())))
    return Volume(
        voxels,
        LPS_TO_RAS @ _index_to_ras(node, label),
        name=node.GetName() or "",
        **said_of(node),
    )


def node_from_volume(
    volume: Volume,
    scene: slicer.vtkMRMLScene | None = None,
    name: str | None = None,
    node: slicer.vtkMRMLScalarVolumeNode | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """A scalar volume node with the image's voxels (copied once) and exact geometry.

    ``node`` is updated in place if given (window and colours that it has are kept), else a
    node is added to ``scene`` (default: the application's) under a name that no other has. The
    name of a synthetic image always begins with ``SYNTHETIC``; its attributes carry sequence and
    provenance.
    """
    if node is None:
        scene = scene or slicer.mrmlScene
        text = _free_name(node_name(volume, name), scene)
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", text)
    else:
        text = node_name(volume, name or node.GetName())
    was_modifying = node.StartModify()
    try:
        _set_voxels(node, volume.voxels)
        node.SetAndObserveTransformNodeID(None)
        node.SetIJKToRASMatrix(_vtk_matrix(LPS_TO_RAS @ volume.index_to_world))
        node.SetName(text)
        describe_node(node, volume)
    finally:
        node.EndModify(was_modifying)
    node.StorableModified()
    node.InvokeEvent(slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, node)
    if node.GetDisplayNode() is None:
        set_display(node)
    return node


def node_name(volume: Volume, name: str | None = None) -> str:
    """What a volume's node is called; begins with ``SYNTHETIC`` if a network made it."""
    text = (name or volume.name or volume.sequence or "Volume").strip()
    if volume.is_synthetic and not text.startswith(SYNTHETIC_MARK):
        text = f"{SYNTHETIC_MARK} {text}"
    return text


def name_with_prompt(volume: Volume) -> str:
    """A result's name with the words that it was asked for in, cut short: ``T2w (3T, TE 90 ms)``.

    Two results of one target are told apart by it wherever Slicer lists volumes.
    """
    name = volume.name or volume.sequence or ""
    words = " ".join(volume.provenance.prompt.split()) if volume.provenance else ""
    cut = words if len(words) <= PROMPT_IN_NAME else f"{words[: PROMPT_IN_NAME - 3].rstrip()}..."
    return f"{name} ({cut})" if words else name


def _free_name(name: str, scene: slicer.vtkMRMLScene) -> str:
    """The name, with a number as Slicer gives them if it is taken.

    Slicer's own GenerateUniqueName also passes over the names of nodes that are gone.
    """
    numbered = (f"{name}_{number}" if number else name for number in itertools.count())
    return next(each for each in numbered if scene.GetFirstNodeByName(each) is None)


def _set_voxels(node, voxels: np.ndarray) -> None:
    storable = {"b": np.uint8, "e": np.float32, "g": np.float64, "q": np.int32, "l": np.int32}
    dtype = voxels.dtype.newbyteorder("=")
    dtype = np.dtype(storable.get(dtype.char if dtype.kind != "b" else "b", dtype))
    if voxels.dtype.kind in "iu" and voxels.dtype.itemsize == 8:
        # Slicer does not draw 64-bit integers.
        fits = voxels.min() >= -(2**31) and voxels.max() < 2**31
        dtype = np.dtype(np.int32 if fits else np.float64)
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(voxels.shape))
    image.AllocateScalars(get_vtk_array_type(dtype), 1)
    target = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(voxels.shape)
    np.copyto(target, voxels, casting="unsafe")
    node.SetAndObserveImageData(image)


def _index_to_ras(node, label: str) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    parent = node.GetParentTransformNode()
    if parent is None:
        return _array(matrix)
    if not parent.IsTransformToWorldLinear():
        raise InputError(
            f"{label} lies under a transform that is not linear; harden the transform "
            "(Transforms module) and choose the volume again."
        )
    to_world = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(to_world)
    return _array(to_world) @ _array(matrix)


def _array(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    return np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])


def _vtk_matrix(array: np.ndarray) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, float).ravel())
    return matrix


def place_like(node: slicer.vtkMRMLScalarVolumeNode, other) -> None:
    """Put a volume where another one lies whose voxels correspond to its own."""
    images = node.GetImageData(), other.GetImageData()
    if None in images or images[0].GetDimensions() != images[1].GetDimensions():
        return  # one was cropped or lost them
    matrix = vtk.vtkMatrix4x4()
    other.GetIJKToRASMatrix(matrix)
    node.SetIJKToRASMatrix(matrix)
    node.SetAndObserveTransformNodeID(other.GetTransformNodeID())


def put_beside(node: slicer.vtkMRMLNode, other) -> None:
    """Put a node where another one is in the Data module's tree: below its patient and study."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = tree.GetItemByDataNode(other) if tree is not None else 0
    if item:
        tree.CreateItem(tree.GetItemParent(item), node)


def put_below_patient(nodes, patient: str, study: str) -> None:
    """Put nodes below a new patient and study of these names in the Data module's tree."""
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    if tree is None:
        return
    item = tree.CreateStudyItem(tree.CreateSubjectItem(tree.GetSceneItemID(), patient), study)
    for node in nodes:
        tree.CreateItem(item, node)


def nodes_of_class(scene: slicer.vtkMRMLScene, class_name: str) -> list[slicer.vtkMRMLNode]:
    """The scene's nodes of a class and of those derived from it."""
    nodes = scene.GetNodesByClass(class_name)
    nodes.UnRegister(scene)  # or the collection keeps deleted images in memory for good
    return [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]


# ---------------------------------------------------------------- display


def set_display(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Give a volume node colours and a window that show it well without a user's help.

    Grey, maps in colours; the window is :func:`~MRISynthLib.views.display_window`'s.
    """
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    voxels = vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())
    provenance = provenance_of(node)
    colours = MAP_COLOURS.get(provenance.kind if provenance is not None else "", GREY_COLOURS)
    window = display_window(voxels, sequence_of(node), provenance)
    display.SetAndObserveColorNodeID(colours)
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*window)


# ---------------------------------------------------------------- layouts


def register_layouts(scene: slicer.vtkMRMLScene | None = None) -> None:
    """Tell the scene's layout node our arrangements; to be called once when a module loads."""
    layout_node = _layout_node(scene or slicer.mrmlScene)
    for layout in OWN_LAYOUTS:
        if not layout_node.AddLayoutDescription(layout.id, layout.description):
            layout_node.SetLayoutDescription(layout.id, layout.description)


def set_layout(layout: SliceLayout, scene: slicer.vtkMRMLScene | None = None) -> None:
    """Arrange the views; the layout makes the view nodes that the scene does not have yet."""
    scene = scene or slicer.mrmlScene
    if layout.description is not None:
        register_layouts(scene)
    _layout_node(scene).SetViewArrangement(layout.id)


def _layout_node(scene) -> slicer.vtkMRMLLayoutNode:
    node = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if node is None:
        raise RuntimeError("the scene has no layout node; set up the application logic first")
    return node


def show_side_by_side(
    nodes: Sequence[slicer.vtkMRMLScalarVolumeNode],
    *,
    focus_lps: Sequence[float] | None = None,
    orientation: str = "Axial",
    layout: SliceLayout | None = None,
    application_logic: slicer.vtkMRMLApplicationLogic | None = None,
) -> tuple[str, ...]:
    """Show each volume in a slice view of its own, all at the same place, linked.

    ``focus_lps`` (mm) is the point whose slice is shown; default: the first volume's centre.
    The views' planes are turned to the first volume's own axes nearest to ``orientation``
    ("Axial", "Coronal", "Sagittal"), so that its pixels are seen and no blend of them.
    Returns the names of the views in the order of ``nodes``.

    Raises
    ------
    ValueError
        If there are no nodes, or more than the layout has views.
    """
    logic = application_logic or slicer.app.applicationLogic()
    scene = logic.GetMRMLScene()
    if layout is None:
        layout = SIDE_BY_SIDE[max(2, len(nodes))] if len(nodes) <= 4 else None
    if not nodes or layout is None or len(nodes) > len(layout.views):
        raise ValueError(f"{len(nodes)} volumes do not fit into this layout")
    set_layout(layout, scene)
    views = [slice_logic(view, logic) for view in layout.views]
    for view in views:
        view.GetSliceCompositeNode().SetLinkedControl(False)  # not to be moved by each other
    for index, view in enumerate(views):
        _show(view, nodes[index] if index < len(nodes) else None)
        place_view(view, nodes[0], focus_lps, orientation, like=views[0] if index else None)
    for view in views:
        view.GetSliceCompositeNode().SetLinkedControl(True)
    return layout.views[: len(nodes)]


def _show(view: slicer.vtkMRMLSliceLogic, node) -> None:
    composite = view.GetSliceCompositeNode()
    composite.SetBackgroundVolumeID(node.GetID() if node is not None else None)
    composite.SetForegroundVolumeID(None)
    composite.SetLabelVolumeID(None)


def place_view(
    view: slicer.vtkMRMLSliceLogic,
    reference: slicer.vtkMRMLScalarVolumeNode,
    focus_lps: Sequence[float] | None = None,
    orientation: str = "Axial",
    like: slicer.vtkMRMLSliceLogic | None = None,
) -> None:
    """Put a view's plane through the focus, seen whole or at the magnification of ``like``.

    The plane is turned to the reference's own axes nearest to ``orientation``.
    """
    node = view.GetSliceNode()
    node.SetViewGroup(0)  # views of different groups are not linked
    node.SetOrientation(orientation)
    node.RotateToVolumePlane(reference)
    if like is None:
        view.FitSliceToBackground()
    else:
        source = like.GetSliceNode()
        width, height = node.GetDimensions()[:2]
        scale = max(
            extent / pixels
            for extent, pixels in zip(
                source.GetFieldOfView()[:2], source.GetDimensions()[:2], strict=True
            )
        )
        node.SetFieldOfView(width * scale, height * scale, source.GetFieldOfView()[2])
        node.SetXYZOrigin(0, 0, 0)
        node.GetSliceToRAS().DeepCopy(source.GetSliceToRAS())
        node.UpdateMatrices()
    if focus_lps is not None:
        node.JumpSliceByOffsetting(-float(focus_lps[0]), -float(focus_lps[1]), float(focus_lps[2]))
    view.SnapSliceOffsetToIJK()


def slice_logic(
    view: str, application_logic: slicer.vtkMRMLApplicationLogic | None = None
) -> slicer.vtkMRMLSliceLogic:
    """The logic of the slice view of this name; made here where no widget has made it."""
    application_logic = application_logic or slicer.app.applicationLogic()
    logic = application_logic.GetSliceLogicByLayoutName(view)
    if logic is None:
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(application_logic)
        scene = application_logic.GetMRMLScene()
        logic.SetMRMLScene(scene)
        node = scene.GetSingletonNode(view, "vtkMRMLSliceNode")
        if node is not None:  # the layout made it; AddSliceNode would keep one outside the scene
            logic.SetSliceNode(node)
        else:
            logic.AddSliceNode(view)
        application_logic.GetSliceLogics().AddItem(logic)
    return logic


def slice_plane(view: str) -> np.ndarray:
    """The plane of a slice view as a 4x4 matrix to LPS, with its middle in the last column."""
    return LPS_TO_RAS @ slice_to_ras(slice_logic(view))


def slice_to_ras(view: slicer.vtkMRMLSliceLogic) -> np.ndarray:
    """The plane of a slice view as a 4x4 matrix, as Slicer has it."""
    return _array(view.GetSliceNode().GetSliceToRAS())


def set_overlay(
    node: slicer.vtkMRMLScalarVolumeNode | None,
    views: Sequence[str],
    *,
    opacity: float = 0.5,
    application_logic: slicer.vtkMRMLApplicationLogic | None = None,
) -> None:
    """Lay a volume over the images of the named views (None takes it away)."""
    for view in views:
        composite = slice_logic(view, application_logic).GetSliceCompositeNode()
        composite.SetForegroundVolumeID(node.GetID() if node is not None else None)
        composite.SetForegroundOpacity(float(opacity) if node is not None else 0.0)
