"""Pairs of a real and a synthetic image in the scene, for tests of module MRISynth's panel."""

from __future__ import annotations

import numpy as np

SHAPE = (6, 40, 40)


def head(seed=0, scale=1.0):
    """Voxels of a round thing with structure in it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:40, :40] - 19.5
    disc = (rows**2 + columns**2 < 17**2)[None].repeat(SHAPE[0], axis=0)
    blocks = np.kron(rng.uniform(300, 900, (6, 10, 10)), np.ones((1, 4, 4)))
    return (np.where(disc, blocks, 0) * scale).astype(np.float32)


def add_pair(desk, uncertainty=True):
    """Nodes of a real T2w, of a synthetic T2w and of a T1w, from which the latter was made."""
    from MRISynthLib import mrml
    from MRISynthLib.provenance import Provenance
    from MRISynthLib.volume import Volume

    grid = np.diag((2.0, 2.0, 4.0, 1.0))
    made = Provenance(synthetic=True, sequence="T2w", bundle="S", inputs=({"sequence": "T1w"},))
    t1w = mrml.node_from_volume(Volume(head(5), grid, name="t1_tse_tra"))
    real = mrml.node_from_volume(Volume(head(), grid, name="t2_tse_tra"))
    synthetic = Volume(head(0, 0.1), grid, sequence="T2w", name="T2w", provenance=made)
    node = mrml.node_from_volume(synthetic)
    if uncertainty:
        expected = Provenance.from_dict({**made.to_dict(), "kind": "uncertainty"})
        mrml.node_from_volume(synthetic.replace(provenance=expected, name="T2w uncertainty"))
    desk.process()
    return t1w, real, node


def layout(desk):
    node = desk.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    return node.GetViewArrangement()


def composite(desk, index):
    """What the view at this place shows in its layers."""
    views = ("MRISynth1", "MRISynth2", "MRISynth3")
    return desk.headless.slice_logic(views[index]).GetSliceCompositeNode()


def lowest(desk, index):
    """The volume under all others in the view at this place."""
    return desk.slicer.mrmlScene.GetNodeByID(composite(desk, index).GetBackgroundVolumeID())


def topmost(desk, index):
    """The volume over it."""
    return desk.slicer.mrmlScene.GetNodeByID(composite(desk, index).GetForegroundVolumeID())
