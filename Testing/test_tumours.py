"""Tumours by stage, metastases and look-alikes, grown into the procedural heads."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import chain, pairwise

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import marching_cubes, mesh_surface_area

from heads import SEEDS, Head, healthy_head
from MRISynthLib.errors import InputError
from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES, Anatomy, Canvas, bit
from MRISynthLib.simulation.nodes import (
    N_STAGE_SHARE,
    N_STAGES,
    NODE_LEVELS,
    add_metastases,
    n_stage_of,
    node_site,
)
from MRISynthLib.simulation.tissues import TISSUE_INDEX
from MRISynthLib.simulation.tumours import STAGES, add_tumour
from MRISynthLib.simulation.variants import VARIANTS, add_variant, draw_condition, fill_mastoid

LINING = ("mucosa", "lymphoid tissue", "air", "cartilage", "fluid")
SOFT = ("fat", "muscle", "ligament", "gland", "vein", "nerve")
BONE = ("cortical bone", "marrow")
WITHIN_DURA = ("CSF", "grey matter", "deep grey matter", "white matter", "meninges", "pituitary")
GROWN = ("tumour", "necrosis")
TARGETS = bit("GTVp") | bit("GTVn")
DRAWS = 3
"""Tumours looked at per stage, by turns in one head and the other."""


class Case:
    """A tumour in a head: masks of it, the tissue map with it, where it is."""

    def __init__(self, stage: str, draw: int) -> None:
        self.head: Head = healthy_head(SEEDS[draw % 2])
        rng = np.random.default_rng((STAGES.index(stage), draw))
        anatomy = add_tumour(self.head.anatomy, self.head.coordinates, stage, rng)
        self.tissue, self.description = anatomy.tissue, anatomy.description
        self.primary, self.nodes = anatomy.mask("GTVp"), anatomy.mask("GTVn")
        self.keeps_labels = np.array_equal(
            anatomy.structures & ~TARGETS, self.head.anatomy.structures
        )
        self.where = self.head.coordinates[:, self.primary]
        """(3, n) head coordinates of the primary."""
        self.side = 1 if self.description["side"] == "L" else -1
        self.reaches = self.description["reaches"]

    def replaced(self, *tissues: str) -> int:
        """Voxels of the primary that were one of these tissues in health."""
        return int(np.isin(self.head.anatomy.tissue[self.primary], _indices(tissues)).sum())

    def crop(self, mask: np.ndarray, margin: int = 4) -> tuple[slice, ...]:
        """Index box about a mask."""
        return tuple(
            slice(max(part.start - margin, 0), part.stop + margin)
            for part in ndimage.find_objects(mask.astype(np.uint8))[0]
        )


@lru_cache(maxsize=len(STAGES) * DRAWS)
def _case(stage: str, draw: int) -> Case:
    return Case(stage, draw)


def _cases(*stages: str) -> list[Case]:
    return [_case(stage, draw) for stage in stages or STAGES for draw in range(DRAWS)]


@pytest.fixture(scope="module", autouse=True)
def _forget_cases():
    yield
    _case.cache_clear()


def _indices(tissues) -> list[int]:
    return [TISSUE_INDEX[name] for name in tissues]


def _count(anatomy: Anatomy, *tissues: str) -> int:
    return int(np.isin(anatomy.tissue, _indices(tissues)).sum())


def test_every_tumour_is_one_mass_that_touches_the_lining_of_the_nasopharynx():
    for case in _cases():
        box = case.crop(case.primary)
        mass = case.primary[box]
        assert mass.sum() > 200
        assert ndimage.label(mass, np.ones((3, 3, 3)))[1] == 1
        lining = case.head.of("mucosa", "lymphoid tissue")[box] & case.head.mask("Nasopharynx")[box]
        assert (ndimage.binary_dilation(mass) & lining).sum() > 50
        # and starts where these tumours start: the fossa of Rosenmueller of its side
        fossa = np.array([15.0 * case.side, 0.0, -35.0])
        assert np.sqrt(((case.where - fossa[:, None]) ** 2).sum(0)).min() < 8


def test_the_mass_is_tumour_with_necrosis_in_the_larger_ones():
    necrotic = []
    for case in _cases():
        tissue = case.tissue[case.primary]
        assert np.isin(tissue, _indices(GROWN)).mean() > 0.85
        assert not (tissue == TISSUE_INDEX["air"]).any()
        share = (tissue == TISSUE_INDEX["necrosis"]).mean()
        assert share < 0.5
        necrotic.append(share)
        if share:  # necrosis lies inside, not at the border
            core = ndimage.binary_erosion(case.primary[case.crop(case.primary)], iterations=2)
            dead = case.tissue[case.crop(case.primary)] == TISSUE_INDEX["necrosis"]
            dead &= case.primary[case.crop(case.primary)]
            assert (dead & core).sum() > 0.9 * dead.sum()
    assert 0.2 < np.mean(np.array(necrotic) > 0.01) < 0.9


def test_tumours_grow_with_the_stage():
    mean = [np.mean([case.primary.sum() for case in _cases(stage)]) / 1000 for stage in STAGES]
    assert all(larger > 1.15 * smaller for smaller, larger in pairwise(mean))
    assert 0.5 < mean[0] < 12 and 12 < mean[-1] < 90


def test_t1_stays_within_the_nasopharynx():
    for case in _cases("T1"):
        assert case.replaced(*LINING) == case.primary.sum()
        # a little tumour crosses the border unseen; none of it lies deep in fat or bone
        near = ndimage.distance_transform_edt(~case.primary[case.crop(case.primary, 8)])
        box = case.crop(case.primary, 8)
        spread = (case.tissue[box] == TISSUE_INDEX["tumour"]) & ~case.nodes[box]
        spread &= np.isin(case.head.anatomy.tissue[box], _indices((*SOFT, *BONE)))
        spread &= ndimage.distance_transform_edt(~case.nodes[box]) > 4 if case.nodes.any() else True
        assert near[spread].max(initial=0) < 3.5
        assert spread.sum() < 0.12 * case.primary.sum()
        assert case.where[2].min() > -62  # not down the throat
        assert np.abs(case.where[0]).max() < 30


def test_t2_reaches_the_parapharyngeal_space_but_no_bone():
    for case in _cases("T2"):
        assert case.replaced("fat") > 150
        assert case.replaced("fat", "muscle") > 0.1 * case.primary.sum()
        assert case.replaced(*BONE, *WITHIN_DURA) == 0
        assert set(case.reaches) & {
            "parapharyngeal space",
            "carotid space",
            "pterygoid muscles",
            "prevertebral muscle",
        }
    # further out than any T1
    widest = [np.mean([np.abs(case.where[0]).max() for case in _cases(s)]) for s in ("T1", "T2")]
    assert widest[1] > widest[0] + 3


def test_t3_erodes_the_base_of_the_skull_or_fills_sinuses_without_entering_the_cranium():
    for case in _cases("T3"):
        assert case.replaced(*BONE) > 100
        eroded = np.isin(case.head.anatomy.tissue, _indices(BONE)) & case.primary
        left = np.isin(case.tissue[eroded], _indices(BONE)).mean()
        assert left < 0.35  # gone from the image too
        assert case.replaced(*WITHIN_DURA) == 0
        assert case.where[2].max() > -22  # above the roof of the nasopharynx


def test_t4_reaches_the_cranium_the_orbit_or_the_hypopharynx():
    seen = set()
    for case in _cases("T4"):
        own = {"cavernous sinus", "prepontine cistern", "orbit", "hypopharynx"} & set(case.reaches)
        assert own
        seen |= own
        x, y, z = case.where
        if {"cavernous sinus", "prepontine cistern"} & own:
            assert case.replaced(*WITHIN_DURA) > 40
        if "orbit" in own:
            assert ((y < -27) & (z > -8) & (np.abs(x) > 12)).sum() > 20
        if "hypopharynx" in own:
            assert z.min() < -95
    assert len(seen) >= 2


def test_tumours_say_where_they_went_and_lie_mostly_on_their_side():
    for case in _cases():
        about = case.description
        assert about["stage"] in STAGES and about["side"] in "LR"
        x = case.where[0] * case.side
        assert (x > 0).mean() > 0.6
        assert x.mean() > 2.5
    assert {case.side for case in _cases()} == {1, -1}


def test_border_is_rough_and_infiltrates():
    roughness, mixed = [], []
    for case in _cases("T2", "T3", "T4"):
        box = case.crop(case.primary)
        mass = case.primary[box]
        vertices, faces, *_ = marching_cubes(mass.astype(np.float32), 0.5)
        ball = (36 * np.pi) ** (1 / 3) * mass.sum() ** (2 / 3)
        roughness.append(mesh_surface_area(vertices, faces) / ball)
        # beyond the border tumour and fat or muscle lie mingled, each voxel with the other beside
        beyond = ndimage.binary_dilation(mass, iterations=2) & ~mass & ~case.nodes[box]
        host = np.isin(case.head.anatomy.tissue[box], _indices(("fat", "muscle"))) & beyond
        new = (case.tissue[box] == TISSUE_INDEX["tumour"]) & host
        mixed.append(new.sum() / host.sum())
    # so measured, a smooth ellipsoid of axes 1:1:2 has 1.16
    assert np.mean(roughness) > 1.35
    assert all(0.005 < share < 0.6 for share in mixed)


def test_healthy_structures_keep_their_labels_and_the_head_is_not_changed():
    case = _case("T4", 0)
    assert case.keeps_labels
    assert not (case.head.anatomy.structures & TARGETS).any()
    assert not _count(case.head.anatomy, *GROWN)
    assert not (case.primary & case.nodes).any()
    far = ndimage.distance_transform_edt(~(case.primary | case.nodes)[::2, ::2, ::2], sampling=2.0)
    changed = (case.tissue != case.head.anatomy.tissue)[::2, ::2, ::2]
    assert far[changed].max() < 9


def test_same_seed_same_tumour_and_another_seed_another():
    case = _case("T1", 0)
    again = Case("T1", 0)
    assert again.tissue.tobytes() == case.tissue.tobytes()
    assert np.array_equal(again.primary, case.primary)
    assert np.array_equal(again.nodes, case.nodes)
    assert again.description == case.description
    assert not np.array_equal(again.primary, _case("T1", 2).primary)


def test_unknown_stage_and_a_head_without_nasopharynx_are_refused():
    head = healthy_head()
    with pytest.raises(ValueError, match=r"'T5'.*T1"):
        add_tumour(head.anatomy, head.coordinates, "T5", np.random.default_rng(0))
    vertex = np.s_[-30:]
    above = Anatomy(
        head.anatomy.tissue[vertex], head.anatomy.structures[vertex], head.anatomy.index_to_world
    )
    with pytest.raises(InputError, match="does not show the nasopharynx"):
        add_tumour(above, head.coordinates[:, vertex], "T1", np.random.default_rng(0))
    stripped = np.where(np.isin(head.anatomy.tissue, _indices(WITHIN_DURA)), head.anatomy.tissue, 0)
    brain = replace(head.anatomy, tissue=stripped, description={"file": "brain.nii.gz"})
    with pytest.raises(InputError, match=r"in brain\.nii\.gz: it does not show"):
        add_tumour(brain, head.coordinates, "T1", np.random.default_rng(0))
    with pytest.raises(ValueError, match="unknown variant"):
        add_variant(head.anatomy, head.coordinates, "mumps", np.random.default_rng(0))


# Nodes


class Metastases:
    """What grew, and of the voxels of GTVn: position, tissue in health and tissue now."""

    def __init__(self, n_stage: str, seed: int) -> None:
        head = healthy_head()
        tissue, structures = head.anatomy.tissue.copy(), head.anatomy.structures.copy()
        still = np.broadcast_to(np.float32(0), tissue.shape)
        canvas = Canvas(tissue, structures, head.coordinates, still)
        self.grown = add_metastases(canvas, n_stage, 1.0, np.random.default_rng(seed))
        mask = (structures & bit("GTVn")) != 0
        self.where = head.coordinates[:, mask]
        self.before, self.tissue = head.anatomy.tissue[mask], tissue[mask]


@pytest.fixture(scope="module")
def metastases() -> dict[str, list[Metastases]]:
    """N stage -> some draws, the primary on the left."""
    return {
        stage: [Metastases(stage, seed) for seed in range(1 if stage == "N0" else 4)]
        for stage in N_STAGES
    }


def _seen(draws: list[Metastases]):
    return ((drawn.grown, drawn.where) for drawn in draws)


def test_n_stages_are_those_of_the_ajcc(metastases):
    (none,) = metastases["N0"]
    assert not none.grown and not none.where.size
    for grown, where in _seen(metastases["N1"]):
        assert grown and {node["side"] for node in grown} == {"L"}
        assert (where[0] > 5).all()
    for stage in ("N2", "N3"):
        for grown, where in _seen(metastases[stage]):
            assert {node["side"] for node in grown} == {"L", "R"}
            assert (where[0] > 15).sum() > 60 and (where[0] < -15).sum() > 60
    for grown, where in _seen(metastases["N3"]):
        low = any(node["level"] in ("IVa", "Vb") for node in grown)
        assert low or max(node["long_axis_mm"] for node in grown) > 60
        assert not low or where[2].min() < -135  # below the cricoid


def test_the_stage_that_is_recorded_is_that_of_the_nodes_that_grew(metastases):
    for stage in N_STAGES:
        assert {n_stage_of(drawn.grown) for drawn in metastases[stage]} == {stage}
    high = [node for node in metastases["N3"][0].grown if node["level"] not in ("IVa", "Vb")]
    small = [{**node, "long_axis_mm": 20.0} for node in high]
    assert n_stage_of(small) in ("N1", "N2")  # as where the lower neck is out of view
    both = [{"level": "VIIa", "side": side, "long_axis_mm": 12.0} for side in "LR"]
    assert n_stage_of(both) == "N1"


def test_metastases_lie_in_their_levels_and_in_nothing_hard(metastases):
    spared = (*BONE, "air", "artery", "cartilage", "white matter", "grey matter", "CSF")
    kinds = set()
    for drawn in chain.from_iterable(metastases[stage] for stage in N_STAGES[1:]):
        assert not np.isin(drawn.before, _indices(spared)).any()
        for node in drawn.grown:
            kinds.add(node["kind"])
            centre, spread = (np.array(v, float) for v in NODE_LEVELS[node["level"]])
            centre[0] *= 1 if node["side"] == "L" else -1
            reach = spread + node["long_axis_mm"] / 2
            close = (np.abs(drawn.where - centre[:, None]) < reach[:, None]).all(0)
            assert close.sum() >= 60
    assert {"solid", "necrotic"} <= kinds


def test_necrotic_and_cystic_nodes_have_such_a_core(metastases):
    cores: dict[str, list[bool]] = {"necrotic": [], "cystic": []}
    for drawn in chain.from_iterable(metastases[stage] for stage in N_STAGES[1:]):
        inside = drawn.tissue
        assert np.isin(inside, _indices(("tumour", "necrosis", "fluid"))).mean() > 0.85
        kinds = {node["kind"] for node in drawn.grown}
        for kind, tissue in (("necrotic", "necrosis"), ("cystic", "fluid")):
            core = (inside == TISSUE_INDEX[tissue]).any()
            assert kind in kinds or not core
            if kind in kinds:
                cores[kind].append(core)
    assert all(np.mean(found) > 0.6 for found in cores.values())


def test_most_but_not_all_patients_have_nodes_and_the_label_says_so():
    for case in _cases():
        about = case.description
        assert case.nodes.any() == bool(about["nodes"]) == (about["n_stage"] != "N0")
    for share in N_STAGE_SHARE.values():
        assert sum(share) == pytest.approx(1) and 0.1 < share[0] < 0.3


def test_node_sites_lie_on_the_side_that_is_asked_for():
    rng = np.random.default_rng(2)
    for level in NODE_LEVELS:
        sites = np.array([node_site(level, -1.0, rng) for _ in range(20)])
        assert (sites[:, 0] < -8).all() and sites.std(0).min() > 0.3


# Look-alikes


@lru_cache(maxsize=8)
def _variant(name: str, seed: int = 3) -> Anatomy:
    head = healthy_head()
    return add_variant(head.anatomy, head.coordinates, name, np.random.default_rng(seed))


@pytest.fixture(scope="module", autouse=True)
def _forget_variants():
    yield
    _variant.cache_clear()


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_have_no_target_and_no_tumour(name):
    variant = _variant(name)
    assert not (variant.structures & TARGETS).any()
    assert not _count(variant, *GROWN)
    assert variant.description["variant"] == name and variant.description["n_stage"] == "N0"
    assert set(variant.known) == set(LABELLED_STRUCTURES)  # absence of a target is known too


def test_a_healthy_case_is_the_head_itself():
    head = healthy_head().anatomy
    assert _variant("healthy").tissue.tobytes() == head.tissue.tobytes()
    assert _variant("healthy").structures.tobytes() == head.structures.tobytes()


def test_thick_mucosa_swells_into_the_air_and_leaves_the_airway_open():
    head = healthy_head()
    thick = _variant("thick mucosa")
    nasopharynx = head.mask("Nasopharynx")

    def share(anatomy: Anatomy, tissue: str) -> float:
        return float((anatomy.tissue[nasopharynx] == TISSUE_INDEX[tissue]).mean())

    assert share(thick, "mucosa") > 1.2 * share(head.anatomy, "mucosa")
    assert 0.02 < share(thick, "air") < share(head.anatomy, "air")
    changed = thick.tissue != head.anatomy.tissue
    assert (head.anatomy.tissue[changed] == TISSUE_INDEX["air"]).all()
    assert (thick.tissue[changed] == TISSUE_INDEX["mucosa"]).all()
    assert (head.coordinates[2][changed] > -80).mean() > 0.99
    assert 5e3 < changed.sum() < 9e4


def test_thick_mucosa_does_not_grow_upon_the_skin():
    head = healthy_head()
    face = np.s_[::2, : head.body.shape[1] * 3 // 5 : 2, ::2]
    within = ndimage.binary_closing(np.pad(head.body[face], 8), iterations=6)[8:-8, 8:-8, 8:-8]
    changed = (_variant("thick mucosa").tissue != head.anatomy.tissue)[face]
    assert within[changed].mean() > 0.97


def test_adenoids_fill_the_roof_of_the_nasopharynx_from_behind():
    head = healthy_head()
    adenoids = _variant("adenoids")
    new = (adenoids.tissue != head.anatomy.tissue) & (
        adenoids.tissue == TISSUE_INDEX["lymphoid tissue"]
    )
    assert 1.0 < new.sum() / 1000 < 20
    x, y, z = head.coordinates[:, new]
    assert abs(x.mean()) < 4  # in the midline,
    assert y.mean() > -16 and z.mean() > -45  # behind and above
    assert head.mask("Nasopharynx")[new].mean() > 0.6


def test_treated_heads_show_oedema_fibrosis_and_shrunken_parotids():
    head = healthy_head()
    treated = _variant("post-treatment")
    assert 5e3 < _count(treated, "oedema") < 2e5
    assert 1e3 < _count(treated, "fibrosis") < 1e5
    for side in "LR":
        before, after = (a.mask(f"Parotid_{side}") for a in (head.anatomy, treated))
        assert 0.2 < after.sum() / before.sum() < 0.9
        assert not (after & ~before).any()
    # muscle, nerve and brain labels stay; the scar is where the tumour was
    for name in ("Brain", "Eye_L", "Glnd_Submand_R", "Bone_Mandible"):
        assert np.array_equal(treated.mask(name), head.mask(name))
    side = 1 if treated.description["side"] == "L" else -1
    fossa = np.array((15.0 * side, 0, -35))[:, None]
    scar = np.isin(treated.tissue, _indices(("oedema", "fibrosis")))
    near = np.sqrt(((head.coordinates[:, scar] - fossa) ** 2).sum(0)) < 16
    assert near.sum() > 200


def test_fluid_fills_mastoid_cells_of_one_side_only():
    head = healthy_head()
    tissue = head.anatomy.tissue.copy()
    still = np.broadcast_to(np.float32(0), tissue.shape)
    canvas = Canvas(tissue, head.anatomy.structures.copy(), head.coordinates, still)
    filled = [fill_mastoid(canvas, 1.0, np.random.default_rng(seed)) for seed in range(4)]
    changed = tissue != head.anatomy.tissue
    assert any(filled) and changed.any()
    assert (head.anatomy.tissue[changed] == TISSUE_INDEX["air"]).all()
    assert (head.coordinates[0][changed] > 25).all()
    assert set(np.unique(tissue[changed])) <= set(_indices(("fluid", "mucosa")))


def test_conditions_are_drawn_in_the_shares_that_are_asked_for():
    rng = np.random.default_rng(1)
    drawn = [draw_condition(rng, 0.6) for _ in range(4000)]
    share = {name: drawn.count(name) / len(drawn) for name in (*STAGES, *VARIANTS)}
    assert sum(share.values()) == pytest.approx(1)
    assert sum(share[stage] for stage in STAGES) == pytest.approx(0.6, abs=0.03)
    assert min(share[stage] for stage in STAGES) > 0.08
    assert min(share[variant] for variant in VARIANTS) > 0.04
    assert {draw_condition(rng, 0.0) for _ in range(60)} == set(VARIANTS)
    assert {draw_condition(rng, 1.0) for _ in range(60)} == set(STAGES)
