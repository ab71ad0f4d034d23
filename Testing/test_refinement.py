"""Correcting a structure by clicks, and the worker's task for it."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import painting
from MRISynthLib.bundles import write_bundle
from MRISynthLib.errors import Cancelled, InputError
from MRISynthLib.progress import SILENT, Callbacks
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthLib.worker.tasks import ModelCache
from MRISynthSegmentLib import task
from MRISynthSegmentLib.click_maps import Click
from MRISynthSegmentLib.refinement import REACH_MM, Refiner

BELOW, FAR = (4, 50, 31), (1, 10, 31)


@pytest.fixture(scope="module")
def head():
    return painting.head()


def refiner(head, network=None):
    made = painting.segmenter(network)
    return Refiner(made, made.prepare([head], register=False), [head])


def click(volume, voxel, adds=True):
    return Click(painting.place(volume, voxel), adds)


def distances(volume, voxel):
    """Millimetres of every voxel from one."""
    index = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), -1)
    away = (index - voxel)[..., ::-1] @ volume.index_to_world[:3, :3].T
    return np.linalg.norm(away, axis=-1)


def test_a_click_adds_what_lies_about_it_and_nothing_else(head):
    previous = painting.TRUTH["GTVp"]
    found = refiner(head).refine("GTVp", previous, [click(head, BELOW)])
    added = found & ~previous
    assert not (previous & ~found).any()
    assert found[BELOW] and added.sum() > 50
    # the network turned the whole left edge round as well: too far away, and not connected
    assert distances(head, BELOW)[added].max() < 12
    assert not found[:, :, :8].any()


def test_a_click_removes_what_lies_about_it_and_nothing_else(head):
    previous = painting.TRUTH["GTVp"] | painting.TRUTH["Brainstem"]
    found = refiner(head).refine("GTVp", previous, [click(head, (5, 52, 31), adds=False)])
    gone = previous & ~found
    assert not (found & ~previous).any()
    assert not found[5, 52, 31] and gone.sum() > 50
    assert distances(head, (5, 52, 31))[gone].max() < 12
    assert found[painting.TRUTH["GTVp"] & (distances(head, (5, 52, 31)) > 12)].all()


def test_nothing_further_than_the_reach_changes_whatever_the_network_wants(head):
    class Everything(painting.PaintingNet):
        def _corrected(self, edit):
            return edit[:, 0] * 0 + 8.0

    previous = np.zeros(head.shape, bool)
    found = refiner(head, Everything()).refine("GTVp", previous, [click(head, BELOW)])
    away = distances(head, BELOW)
    assert found.any() and away[found].max() <= REACH_MM
    assert found.sum() < 0.5 * found.size


def test_beside_a_small_structure_a_click_changes_little_and_far_from_it_more(head):
    class Everything(painting.PaintingNet):
        def _corrected(self, edit):
            return edit[:, 0] * 0 + 8.0

    tiny, large = np.zeros(head.shape, bool), np.zeros(head.shape, bool)
    tiny[4, 48:50, 30:33] = large[2:7, 30:50, 20:44] = True
    made = refiner(head, Everything())
    reached = {}
    for name, before, voxel in (
        ("beside the tiny one", tiny, BELOW),
        ("beside the large one", large, BELOW),
        ("far from the tiny one", tiny, (4, 60, 31)),
    ):
        found = made.refine("Lens_L", before, [click(head, voxel)])
        reached[name] = distances(head, voxel)[found & ~before].max()
    assert reached["beside the tiny one"] < 6
    assert reached["beside the large one"] > 1.8 * reached["beside the tiny one"]
    assert reached["far from the tiny one"] > 1.8 * reached["beside the tiny one"]


@pytest.mark.parametrize("adds", [True, False])
def test_the_clicked_voxel_always_ends_as_asked(head, adds):
    """Also where the network does nothing."""
    previous = np.zeros(head.shape, bool) if adds else np.ones(head.shape, bool)
    made = refiner(head, painting.PaintingNet(stubborn=True))
    for voxel in (BELOW, (0, 0, 40), (9, 71, 63)):
        found = made.refine("GTVp", previous, [click(head, voxel, adds)])
        assert found[voxel] == adds
        assert 0 < np.count_nonzero(found != previous) < 30


def test_the_network_sees_the_result_so_far_and_all_clicks(head):
    network = painting.PaintingNet()
    previous = painting.TRUTH["GTVp"].astype(np.float32)
    clicks = [click(head, FAR, False), click(head, (4, 20, 30)), click(head, BELOW)]
    made = refiner(head, network)
    made.refine("GTVp", previous, clicks)
    rows, columns = head.shape[1:]
    edit = np.concatenate([call.edit[:, :, :rows, :columns].numpy() for call in network.calls])
    first = BELOW[0] - 3  # slices of 4 mm as deep as 10 mm
    assert len(edit) == 7
    assert np.allclose(edit[:, 0], previous[first : first + 7], atol=1e-5)
    assert edit[BELOW[0] - first, 1, BELOW[1], BELOW[2]] == pytest.approx(1, abs=1e-5)
    assert edit[4 - first, 1, 20, 30] == pytest.approx(1, abs=1e-5)
    assert edit[FAR[0] - first, 2, FAR[1], FAR[2]] == pytest.approx(1, abs=1e-5)
    assert edit[0, 1, 40, 40] < 0.1 and edit[:, 2, 40:].max() < 1e-3
    assert all(call.around["T1w"].shape[1] == 2 for call in network.calls)


def test_the_network_is_told_what_is_synthetic():
    network = painting.PaintingNet()
    made = painting.head(provenance=Provenance(True, sequence="T1w"))
    refiner(made, network).refine("GTVp", painting.TRUTH["GTVp"], [click(made, BELOW)])
    assert painting.sequences_told(network.calls[0].synthetic) == ["T1w"]


def test_a_click_leaves_alone_what_was_clicked_before(head):
    previous = painting.TRUTH["GTVp"]
    made = refiner(head)
    earlier = (BELOW[0], BELOW[1] + 3, BELOW[2])
    taken = made.refine("GTVp", previous, [click(head, earlier, False)])
    found = made.refine("GTVp", taken, [click(head, earlier, False), click(head, BELOW)])
    assert found[BELOW] and not found[earlier]


def test_a_click_on_an_oblique_image_is_honoured_where_it_was_set():
    axes = Rotation.from_euler("xyz", (6, -4, 10), degrees=True).as_matrix() * (-1, 1, 1)
    straight = painting.head()
    turned = Volume(
        straight.voxels, matrix_from_parts((0.8, 0.8, 3.0), axes, (30.0, -20.0, 5.0)), "T1w", "t"
    )
    previous = np.zeros(turned.shape, bool)
    found = refiner(turned).refine("GTVp", previous, [click(turned, BELOW)])
    assert found[BELOW]
    centre = np.argwhere(found).mean(0)
    assert np.abs(centre - BELOW).max() < 1.0
    assert distances(turned, BELOW)[found].max() < 12


def test_a_probability_can_be_corrected_as_well(head):
    previous = painting.TRUTH["GTVp"] * np.float32(0.8)
    found = refiner(head).refine("GTVp", previous, [click(head, BELOW)])
    assert found.dtype == bool
    assert found[painting.TRUTH["GTVp"]].all() and found[BELOW]


def test_what_cannot_be_corrected_is_refused_in_one_sentence(head):
    previous = painting.TRUTH["GTVp"]
    made = refiner(head)
    with pytest.raises(InputError, match=r"no click on GTVp; .*\.$"):
        made.refine("GTVp", previous, [])
    with pytest.raises(InputError, match=r"GTVp at .* lies outside T1w scan; .*\.$"):
        made.refine("GTVp", previous, [Click((400.0, 0.0, 0.0), True)])
    with pytest.raises(InputError, match=r"GTVp has the shape .*; .*\.$"):
        made.refine("GTVp", previous[1:], [click(head, BELOW)])
    deaf = painting.PaintingNet()
    deaf.takes_clicks = False
    with pytest.raises(InputError, match=r"The model Painter takes no clicks; .*\.$"):
        refiner(head, deaf)


def test_a_click_can_be_cancelled(head):
    with pytest.raises(Cancelled):
        refiner(head).refine(
            "GTVp",
            painting.TRUTH["GTVp"],
            [click(head, BELOW)],
            callbacks=Callbacks(cancelled=lambda: True),
        )


# ------------------------------------------------------------------------- in the worker


@pytest.fixture
def bundle(tmp_path):
    """An untrained bundle whose network takes clicks."""
    import torch

    from models import ABOUT
    from MRISynthLib.sequences import SEQUENCE_NAMES
    from MRISynthSegmentLib.structure_net import StructureNet

    torch.manual_seed(0)
    features, names = (8, 8, 8, 8, 8, 8), list(painting.GREYS)
    definition = {
        "_target_": "MRISynthSegmentLib.structure_net.StructureNet",
        "structures": len(names),
        "features": list(features),
    }
    about = {"name": "Clicks", "task": "segmentation", "structures": names}
    metadata = {**ABOUT, **about, "sequences_in": list(SEQUENCE_NAMES), "clicks": True}
    weights = StructureNet(len(names), features).state_dict()
    return write_bundle(
        tmp_path / "Clicks", metadata, {"network_def": definition, "pixel_mm": 1.0}, weights
    )


def asked(bundle, volume, voxel, **more):
    clicks = [[*painting.place(volume, voxel), True]]
    return {"structure": "GTVp", "clicks": clicks, "bundle": str(bundle.folder), **more}


def run(parameters, volumes, models):
    return task.HANDLERS["refinement"](parameters, volumes, SILENT, models)


def test_the_task_gives_the_corrected_mask_on_the_grid_of_the_first_input(bundle, head):
    previous = head.with_voxels(painting.TRUTH["GTVp"])
    result = run(asked(bundle, head, BELOW), [head, previous], ModelCache("cpu"))
    found = result["GTVp"]
    assert found.same_geometry(head) and found.voxels.dtype == bool and found.voxels[BELOW]
    assert result.info["bundle"]["name"] == "Clicks"
    assert {"model", "prepare", "refine"} <= result.info["timings"].keys()


def test_inputs_are_prepared_once_for_study_and_many_clicks(bundle, head, monkeypatch):
    from MRISynthSegmentLib.segmenter import Segmenter

    prepared = []
    prepare = Segmenter.prepare

    def counted(self, inputs, **more):
        prepared.append(inputs[0].name)
        return prepare(self, inputs, **more)

    monkeypatch.setattr(Segmenter, "prepare", counted)
    models = ModelCache("cpu")
    mask = head.with_voxels(painting.TRUTH["GTVp"])
    away = head.index_to_world.copy()
    away[0, 3] += 900
    elsewhere = head.replace(index_to_world=away, sequence="T2w", name="knee")
    study, where = task.HANDLERS["segmentation study"], {"bundle": str(bundle.folder)}
    nothing, (remark,) = study(where, [head, elsewhere], SILENT, models).info["remarks"]
    assert nothing == [] and remark["serious"] and "knee" in remark["text"] and not prepared
    assert len(study(where, [head], SILENT, models).info["remarks"]) == 1
    for voxel in (BELOW, (5, 30, 30), (6, 20, 20)):
        run(asked(bundle, head, voxel), [head, mask], models)
    task.HANDLERS["segmentation"]({"bundle": str(bundle.folder)}, [head], SILENT, models)
    assert prepared == ["T1w scan"]
    brighter = head.with_voxels(head.voxels * 2, name="other")
    run(asked(bundle, head, BELOW), [brighter, mask], models)
    run(asked(bundle, head, BELOW, register=False), [head, mask], models)
    assert prepared == ["T1w scan", "other", "T1w scan"]
    run(asked(bundle, head, BELOW), [head, mask], models)  # only the last two are kept
    assert len(prepared) == 4


def test_what_is_kept_does_not_hold_the_clients_memory(bundle, head):
    voxels = head.voxels.copy()
    held = weakref.ref(voxels)
    lent = Volume(voxels, head.index_to_world, "T1w", "lent")
    models = ModelCache("cpu")
    run(asked(bundle, head, BELOW), [lent, head.with_voxels(painting.TRUTH["GTVp"])], models)
    del voxels, lent
    gc.collect()
    assert held() is None


def test_a_model_that_takes_no_clicks_says_so_before_any_work(tmp_path, head, monkeypatch):
    from models import segmentation_bundle
    from MRISynthSegmentLib.segmenter import Segmenter

    monkeypatch.setattr(Segmenter, "prepare", lambda *_, **__: pytest.fail("it was prepared"))
    old = segmentation_bundle(tmp_path / "Old")
    if old.network().takes_clicks:
        pytest.skip("the test bundle's network takes clicks")
    with pytest.raises(InputError, match="takes no clicks"):
        run(asked(old, head, BELOW), [head, head], ModelCache("cpu"))


def test_probabilities_travel_beside_the_masks(bundle, head):
    parameters = {"bundle": str(bundle.folder), "structures": ["GTVp"], "probabilities": True}
    result = task.HANDLERS["segmentation"](parameters, [head], SILENT, ModelCache("cpu"))
    segmentation = task.segmentation_from(result, head)
    assert list(segmentation.masks) == ["GTVp"] and set(segmentation.doubt) == {"GTVp"}
    image = task.probabilities_from(result)["GTVp"]
    assert image.same_geometry(head) and image.voxels.min() >= 0 and image.voxels.max() <= 1
