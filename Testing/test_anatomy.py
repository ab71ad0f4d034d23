"""The procedural head: what a radiologist expects to find, where, and of which size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import perimeter

from heads import SEEDS, Head, healthy_head
from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES, bit
from MRISynthLib.simulation.procedural import build_head
from MRISynthLib.simulation.tissues import TISSUE_INDEX, TISSUES

HEALTHY = tuple(name for name in LABELLED_STRUCTURES if not name.startswith("GTV"))
PAIRS = tuple(name[:-2] for name in HEALTHY if name.endswith("_L"))

# Millilitres of adults, widened by about a third because two heads are looked at, not a
# population, and because a label's border is a convention. Reference masses of ICRP
# Publication 89 (2002) for men and women where it has them: brain 1450 and 1300 g, both eyes
# 15 g, both parotid glands 50 g and both submandibular glands 25 g, thyroid 20 and 17 g,
# pituitary 0.6 g. Hippocampus: about 3-5 ml a side in UK Biobank (Nobis et al., NeuroImage
# Clin 2019). Globe: diameters of 22-26 mm (Bekerman et al., J Ophthalmol 2014). Lacrimal
# gland: about 0.7 ml. The others are what contouring atlases (Brouwer et al., Radiother Oncol
# 2015) enclose, in round numbers.
ADULT_ML = {
    "Brain": (1000, 1800),
    "Brainstem": (18, 45),
    "SpinalCord": (6, 20),
    "OpticChiasm": (0.15, 1.0),
    "OpticNrv": (0.3, 1.6),
    "Eye": (5, 9),
    "Lens": (0.1, 0.4),
    "Lobe_Temporal": (55, 140),
    "Hippocampus": (2.3, 5.5),
    "Cochlea": (0.05, 0.3),
    "Parotid": (12, 50),
    "Glnd_Submand": (4, 16),
    "Glnd_Thyroid": (6, 35),
    "Glnd_Lacrimal": (0.3, 1.4),
    "Bone_Mandible": (30, 100),
    "Joint_TM": (1.5, 9),
    "Pituitary": (0.2, 1.2),
    "Cavity_Oral": (35, 120),
    "Larynx": (12, 60),
    "Musc_Constrict": (5, 30),
    "Nasopharynx": (8, 50),
    "Esophagus": (1, 12),
    "A_Carotid": (2, 12),
}

BONE = ("cortical bone", "marrow")
NEURAL = ("white matter", "grey matter", "deep grey matter", "nerve")

# What a structure consists of, and the least share of it that must be that.
MADE_OF = {
    "Brain": ((*NEURAL, "CSF", "vein", "meninges"), 0.99),
    "Brainstem": (NEURAL, 0.93),
    "SpinalCord": (NEURAL, 0.97),
    "OpticChiasm": (("nerve",), 0.95),
    "OpticNrv": (("nerve",), 0.95),
    "Eye": (("vitreous", "lens", "ligament", "meninges"), 0.95),
    "Lens": (("lens",), 0.95),
    "Lobe_Temporal": ((*NEURAL, "CSF"), 0.97),
    "Hippocampus": (("grey matter", "deep grey matter"), 0.9),
    "Cochlea": (("fluid", "cortical bone"), 0.8),
    "Parotid": (("parotid gland", "vein", "artery"), 0.8),
    "Glnd_Submand": (("gland",), 0.9),
    "Glnd_Thyroid": (("gland",), 0.85),
    "Glnd_Lacrimal": (("gland",), 0.9),
    "Bone_Mandible": ((*BONE, "tooth"), 0.95),
    "Pituitary": (("pituitary",), 0.9),
    "Musc_Constrict": (("muscle",), 0.85),
    "Nasopharynx": (("air", "mucosa", "lymphoid tissue", "cartilage"), 0.75),
    "Esophagus": (("muscle", "mucosa", "air"), 0.95),
    "A_Carotid": (("artery",), 0.97),
}

# Least volume (ml) of every tissue of a healthy head without dental metal.
LEAST_ML = {
    "fat": 300,
    "muscle": 250,
    "skin": 80,
    "cortical bone": 150,
    "marrow": 80,
    "white matter": 350,
    "grey matter": 400,
    "deep grey matter": 8,
    "CSF": 120,
    "artery": 5,
    "vein": 10,
    "mucosa": 20,
    "parotid gland": 20,
    "gland": 10,
    "vitreous": 6,
    "lens": 0.2,
    "nerve": 1.5,
    "cartilage": 6,
    "lymphoid tissue": 1.5,
    "ligament": 3,
    "tooth": 4,
    "pituitary": 0.15,
    "meninges": 2,
}
NOT_IN_HEALTH = ("tumour", "necrosis", "oedema", "fibrosis")


@pytest.fixture(scope="module", params=SEEDS)
def head(request) -> Head:
    return healthy_head(request.param)


def _plain(name: str) -> str:
    return name.removesuffix("_L").removesuffix("_R")


def _gap_mm(head: Head, first: str, second: str) -> float:
    """Least distance between voxels of two structures."""
    return float(cKDTree(head.points(first)).query(head.points(second))[0].min())


def _ml(mask: np.ndarray) -> float:
    return np.count_nonzero(mask) / 1000


def test_a_healthy_head_has_every_structure_and_no_target(head):
    marked = np.bitwise_or.reduce(head.anatomy.structures, axis=None)
    missing = [name for name in HEALTHY if not marked & bit(name)]
    assert not missing
    assert not marked & (bit("GTVp") | bit("GTVn"))
    assert set(head.anatomy.known) == set(LABELLED_STRUCTURES)


@pytest.mark.parametrize("name", HEALTHY)
def test_volumes_are_those_of_adults(head, name):
    low, high = ADULT_ML[_plain(name)]
    assert low < head.volume_ml(name) < high


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_lie_on_their_sides_and_are_alike(head, name):
    left, right = (head.points(f"{name}_{side}") for side in "LR")
    middle = head.points("Brainstem")[:, 0].mean()
    assert left[:, 0].mean() > middle + 6 and right[:, 0].mean() < middle - 6
    assert (left[:, 0] > right[:, 0].mean() + 5).mean() > 0.97
    assert (right[:, 0] < left[:, 0].mean() - 5).mean() > 0.97
    # no more askew than heads are: level and at the same depth
    assert np.abs(left.mean(0) - right.mean(0))[1:].max() < 16
    assert 0.6 < len(left) / len(right) < 1 / 0.6


@pytest.mark.parametrize("name", [n for n in HEALTHY if _plain(n) in MADE_OF])
def test_structures_consist_of_their_tissue(head, name):
    tissues, least = MADE_OF[_plain(name)]
    assert head.of(*tissues)[head.mask(name)].mean() > least


@pytest.mark.parametrize("name", [n for n in HEALTHY if n != "Glnd_Thyroid"])
def test_structures_are_in_one_piece(head, name):
    labels, _ = ndimage.label(head.mask(name)[head.around(name)], np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes.max() > 0.97 * sizes.sum()


def test_every_tissue_occurs_in_its_amount(head):
    counts = np.bincount(head.anatomy.tissue.ravel(), minlength=len(TISSUES)) / 1000
    amounts = {name: counts[TISSUE_INDEX[name]] for name in LEAST_ML}
    short = {name: ml for name, ml in amounts.items() if ml < LEAST_ML[name]}
    assert not short
    assert not any(counts[TISSUE_INDEX[name]] for name in NOT_IN_HEALTH)


def test_lenses_lie_in_the_front_of_the_eyes(head):
    for side in "LR":
        eye, lens = f"Eye_{side}", f"Lens_{side}"
        assert head.mask(eye)[head.mask(lens)].mean() > 0.97
        assert head.centre(lens)[1] < head.centre(eye)[1] - 5


def test_optic_pathway_runs_from_the_eyes_to_the_chiasm_above_the_pituitary(head):
    chiasm, pituitary = head.centre("OpticChiasm"), head.centre("Pituitary")
    assert 4 < chiasm[2] - pituitary[2] < 20
    assert np.abs(chiasm - pituitary)[:2].max() < 10
    for side in "LR":
        nerve = f"OpticNrv_{side}"
        assert _gap_mm(head, nerve, f"Eye_{side}") < 2.5
        assert _gap_mm(head, nerve, "OpticChiasm") < 2.5
        y = head.centre(nerve)[1]
        assert head.centre(f"Eye_{side}")[1] < y < chiasm[1]
        # nothing but its own fat and muscles about the nerve behind the globe
        halfway = 0.6 * head.centre(f"Eye_{side}") + 0.4 * head.centre("OpticChiasm")
        cone = head.box(halfway - 8, halfway + 8)
        assert head.of("fat", "muscle", "nerve", "CSF")[cone].mean() > 0.4


def test_cord_hangs_from_the_brainstem_which_belongs_to_the_brain(head):
    stem, cord = head.mask("Brainstem"), head.mask("SpinalCord")
    assert head.mask("Brain")[stem].mean() > 0.97
    assert _gap_mm(head, "Brainstem", "SpinalCord") < 2.5
    assert head.centre("SpinalCord")[2] < head.points("Brainstem")[:, 2].min()
    assert np.count_nonzero(stem & cord) < 0.1 * np.count_nonzero(cord)
    # the cord swims in CSF, the CSF lies in bone
    box = head.around("SpinalCord", 4)
    about = ndimage.binary_dilation(cord[box], iterations=2) & ~cord[box]
    assert head.of("CSF")[box][about].mean() > 0.7


def test_hippocampi_lie_in_the_temporal_lobes_and_these_in_the_brain(head):
    for side in "LR":
        lobe = head.mask(f"Lobe_Temporal_{side}")
        assert lobe[head.mask(f"Hippocampus_{side}")].mean() > 0.75
        assert head.mask("Brain")[lobe].mean() > 0.97


def test_cochleae_lie_in_bone(head):
    for side in "LR":
        cochlea = head.mask(f"Cochlea_{side}")
        box = head.around(f"Cochlea_{side}")
        shell = ndimage.binary_dilation(cochlea[box], iterations=2) & ~cochlea[box]
        assert head.of("cortical bone", "marrow", "fluid", "CSF")[box][shell].mean() > 0.8
        assert head.of("cortical bone")[box][shell].mean() > 0.4


def test_jaw_hangs_in_its_joints_below_the_upper_teeth(head):
    jaw = head.points("Bone_Mandible")
    assert jaw[:, 2].mean() < head.centre("Nasopharynx")[2] - 20
    for side in "LR":
        condyle = head.mask("Bone_Mandible") & head.mask(f"Joint_TM_{side}")
        assert _ml(condyle) > 0.3
        # the condyle is the highest end of the jaw, in front of the ear
        assert np.argwhere(condyle).mean(0)[0] - 168 > np.percentile(jaw[:, 2], 90)
        assert head.centre(f"Joint_TM_{side}")[1] < head.centre(f"Cochlea_{side}")[1]
    origin = head.anatomy.index_to_world[2, 3]
    teeth = np.argwhere(head.of("tooth"))[:, 0] + origin
    assert jaw[:, 2].min() < teeth.min() and teeth.max() < head.centre("Eye_L")[2] - 20
    assert np.abs(head.centre("Cavity_Oral")[2] - teeth.mean()) < 15


def test_salivary_glands_flank_the_jaw(head):
    for side, sign in (("L", 1), ("R", -1)):
        parotid, gland = head.centre(f"Parotid_{side}"), head.centre(f"Glnd_Submand_{side}")
        assert sign * (parotid[0] - gland[0]) > 10  # further out,
        assert parotid[1] > gland[1] + 10  # further back
        assert parotid[2] > gland[2] + 15  # and higher
        assert _gap_mm(head, f"Parotid_{side}", "Bone_Mandible") < 4
        assert head.centre("Bone_Mandible")[2] > gland[2]


def test_throat_lies_in_front_of_the_spine_in_the_right_order(head):
    larynx, gullet, thyroid = (
        head.centre(name) for name in ("Larynx", "Esophagus", "Glnd_Thyroid")
    )
    assert larynx[2] > thyroid[2] > gullet[2] - 10
    assert larynx[1] < gullet[1] < head.centre("SpinalCord")[1] - 10
    assert head.centre("Nasopharynx")[2] > head.centre("Musc_Constrict")[2] > larynx[2]
    for side, sign in (("L", 1), ("R", -1)):
        carotid = head.points(f"A_Carotid_{side}")
        assert np.ptp(carotid[:, 2]) > 120  # from the root of the neck to the base of the skull
        assert (sign * (carotid[:, 0] - larynx[0]) > 3).mean() > 0.9


def test_thyroid_lies_on_both_sides_of_the_windpipe(head):
    windpipe = _windpipe_air(head)
    box = head.around("Glnd_Thyroid", 0)
    middle = np.argwhere(windpipe[box])[:, 2].mean()
    x = np.argwhere(head.mask("Glnd_Thyroid")[box])[:, 2]
    assert min((x > middle + 4).mean(), (x < middle - 4).mean()) > 0.3


def _windpipe_air(head: Head) -> np.ndarray:
    """Air within the body in one piece with the windpipe, mouth and nose left out."""
    air = head.of("air") & head.body
    labels, _ = ndimage.label(air, np.ones((3, 3, 3)))
    lowest = labels[0][air[0]]
    assert lowest.size, "no windpipe in the lowest slice"
    return labels == np.bincount(lowest).argmax()


def test_airway_is_open_from_the_nasopharynx_to_the_windpipe(head):
    airway = _windpipe_air(head)
    assert _ml(airway & head.mask("Nasopharynx")) > 1.0
    assert _ml(airway & head.mask("Larynx")) > 1.0


def test_nasopharynx_is_lined_with_mucosa_before_the_clivus(head):
    box = head.around("Nasopharynx")
    region = head.mask("Nasopharynx")[box]
    assert head.of("air")[box][region].mean() > 0.15
    assert head.of("mucosa", "lymphoid tissue")[box][region].mean() > 0.2
    air = head.of("air")[box] & region
    lining = ndimage.binary_dilation(air) & ~air & ndimage.binary_erosion(region, iterations=2)
    assert head.of("mucosa", "lymphoid tissue", "cartilage", "muscle")[box][lining].mean() > 0.9
    centre = head.centre("Nasopharynx")
    behind = head.near(centre, (-8, 12, -5), (8, 32, 22))
    assert _ml(head.of("marrow")[behind]) > 0.5  # marrow of the clivus


def test_parapharyngeal_fat_lies_beside_the_nasopharynx(head):
    centre = head.centre("Nasopharynx")
    for sign in (1, -1):
        beside = head.near(centre, (sign * 17, -2, -32), (sign * 32, 14, -6))
        assert head.of("fat")[beside].mean() > 0.15
        assert head.of("muscle")[beside].mean() > 0.05


def test_cortex_is_a_thin_folded_ribbon(head):
    brain = head.mask("Brain")[head.around("Brain", 2)]
    grey = head.of("grey matter")[head.around("Brain", 2)] & brain
    white = head.of("white matter")[head.around("Brain", 2)] & brain
    assert 0.8 < grey.sum() / white.sum() < 2.0
    # in a ball of that volume one voxel in 18 lies at the surface
    surface = grey & ~ndimage.binary_erosion(grey)
    assert surface.sum() > 8 * (36 * np.pi) ** (1 / 3) * grey.sum() ** (2 / 3)
    # half thickness: cortex of 2-4 mm, deep nuclei more
    depth = ndimage.distance_transform_edt(grey[:, :, ::2], (1, 1, 2))
    assert np.percentile(depth[depth > 0], 90) < 3.2


def test_gyrification_is_that_of_man(head):
    # length of the pial contour over that of the hull: 2.6 in man (Zilles et al., 1988)
    box = head.around("Brain", 16)
    cerebrum = (head.of("grey matter", "white matter") & head.mask("Brain"))[box]
    cerebrum[: cerebrum.shape[0] * 9 // 20] = False  # cerebellum and temporal lobes
    indices = []
    for share in (0.3, 0.4, 0.5, 0.6):
        plane = cerebrum[:, round(share * cerebrum.shape[1])]
        hull = ndimage.binary_fill_holes(ndimage.binary_closing(plane, iterations=12))
        indices.append(perimeter(plane) / perimeter(hull))
    assert 1.8 < np.mean(indices) < 4.2


def test_ventricles_lie_deep_in_the_brain(head):
    box = head.around("Brain", 1)
    brain = head.mask("Brain")[box]
    depth = ndimage.distance_transform_edt(brain[::2, ::2, ::2]) * 2
    deep = depth > 22
    fluid = head.of("CSF")[box][::2, ::2, ::2] & deep
    ml = np.count_nonzero(fluid) * 8 / 1000
    assert 5 < ml < 120
    x = np.argwhere(fluid)[:, 2] * 2 - 1
    middle = head.centre("Brain")[0] - head.points("Brain")[:, 0].min()
    assert min((x > middle + 4).mean(), (x < middle - 4).mean()) > 0.2


def test_no_air_and_hardly_any_bone_lies_within_the_brain(head):
    box = head.around("Brain", 1)
    brain = head.mask("Brain")[box]
    air = head.of("air")[box] & brain
    ears = round(head.centre("Cochlea_L")[2] - head.points("Brain")[:, 2].min()) + 12
    assert not air[ears:].any()
    assert _ml(air) < 0.4
    assert head.of(*BONE)[box][brain].mean() < 0.004


def test_vault_is_closed_and_has_diploe(head):
    top = head.centre("Brain")[2]
    low, high = head.points("Brain").min(0), head.points("Brain").max(0)
    box = head.box((low[0] - 25, low[1] - 25, top), (high[0] + 25, high[1] + 25, high[2] - 2))
    neural = head.of("grey matter", "white matter")[box] & head.mask("Brain")[box]
    outside = head.of("fat", "muscle", "skin", "air")[box]
    assert not (ndimage.binary_dilation(neural) & outside).any()
    bone, marrow = head.of(*BONE)[box], head.of("marrow")[box]
    assert 0.15 < marrow.sum() / bone.sum() < 0.8
    rim = ndimage.binary_dilation(marrow) & ~marrow
    assert head.of("cortical bone")[box][rim].mean() > 0.9


def test_mastoids_hold_air_cells(head):
    air, wall = [], []
    for side, sign in (("L", 1), ("R", -1)):
        ear = head.centre(f"Cochlea_{side}")
        box = head.near(ear, (sign * 14, 4, -34), (sign * 42, 36, 4))
        cells = head.of("air", "mucosa", "fluid")[box] & head.body[box]
        air.append(_ml(cells))
        shell = ndimage.binary_dilation(cells) & ~cells
        wall.append(head.of(*BONE)[box][shell].mean())
    assert min(air) > 0.8  # now and then swollen or filled
    assert min(wall) > 0.5


def test_sinuses_are_hollow(head):
    for side in "LR":
        eye = head.centre(f"Eye_{side}")
        antrum = head.near(eye, (-12, 0, -48), (12, 34, -16))
        assert _ml(head.of("air", "mucosa", "fluid")[antrum] & head.body[antrum]) > 4
    sella = head.centre("Pituitary")
    sphenoid = head.near(sella, (-12, -24, -20), (12, 0, -4))
    assert _ml(head.of("air", "mucosa", "fluid")[sphenoid]) > 1
    ethmoid = head.near(sella, (-14, -60, -8), (14, -26, 8))
    cells = head.of("air", "mucosa", "fluid")[ethmoid]
    assert _ml(cells) > 3 and _ml(head.of("cortical bone")[ethmoid]) > 1


def test_body_is_in_one_piece_and_wears_skin(head):
    labels, _ = ndimage.label(head.body, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes.sum() - sizes.max() < 60  # specks where an edge is rough
    near = head.body & ~ndimage.binary_erosion(head.body, border_value=1)
    assert head.of("skin")[near].mean() > 0.85


def test_neck_has_single_muscles_with_fat_between_them(head):
    level = head.centre("Larynx")[2] + 5
    k = round(level - head.anatomy.index_to_world[2, 3])
    muscle = head.of("muscle")[k]
    bellies, _ = ndimage.label(ndimage.binary_erosion(muscle))
    sizes = np.bincount(bellies.ravel())[1:]
    assert (sizes > 30).sum() >= 12
    assert sizes.max() < 0.35 * sizes.sum()
    fat = head.of("fat")[k]
    assert 0.1 < fat.sum() / muscle.sum() < 3


def test_vertebrae_alternate_with_discs(head):
    cord = head.points("SpinalCord")
    bottom = head.anatomy.index_to_world[2, 3]
    marrow, disc = head.of("marrow"), head.of("cartilage")
    column = []
    for z in np.arange(bottom, head.points("Brainstem")[:, 2].min() - 25):
        x, y, _ = cord[np.abs(cord[:, 2] - z) < 1].mean(0)
        body = head.box((x - 5, y - 20, z), (x + 5, y - 12, z))
        column.append(marrow[body].mean() - disc[body].mean())
    column = np.array(column)
    signs = np.sign(column[np.abs(column) > 0.25])
    assert np.count_nonzero(np.diff(signs)) >= 6  # three bodies and three discs at least


def test_neck_holds_lymph_nodes_on_both_sides(head):
    box = head.box((-90, -60, -165), (90, 70, head.centre("Glnd_Submand_L")[2] + 25))
    nodes, count = ndimage.label(head.of("lymphoid tissue")[box])
    places = np.array(ndimage.center_of_mass(nodes > 0, nodes, range(1, count + 1)))
    sizes = np.bincount(nodes.ravel())[1:]
    x = places[:, 2] - 90 - head.centre("Larynx")[0]
    real = (sizes > 15) & (np.abs(x) > 18)
    assert (real & (x > 0)).sum() >= 2 and (real & (x < 0)).sum() >= 2
    assert sizes[real].max() < 2500  # normal ones, below about 15 mm


def test_heads_differ_in_shape():
    first, second = (healthy_head(seed).mask("Brain") for seed in SEEDS)
    overlap = 2 * np.count_nonzero(first & second) / (first.sum() + second.sum())
    assert 0.75 < overlap < 0.98
    heads = [healthy_head(seed) for seed in SEEDS]
    folds = [head.of("white matter") & head.mask("Brain") for head in heads]
    same = 2 * np.count_nonzero(folds[0] & folds[1]) / (folds[0].sum() + folds[1].sum())
    assert same < 0.85


def test_a_seed_is_one_head_to_the_last_byte():
    slab = {"shape": (20, 120, 110), "origin": (-55.0, -70.0, -44.0)}
    first, at_first = build_head(np.random.default_rng(5), **slab)
    again, at_again = build_head(np.random.default_rng(5), **slab)
    other, _ = build_head(np.random.default_rng(6), **slab)
    assert first.tissue.tobytes() == again.tissue.tobytes()
    assert first.structures.tobytes() == again.structures.tobytes()
    assert at_first.tobytes() == at_again.tobytes()
    assert (first.tissue != other.tissue).mean() > 0.1


def test_head_coordinates_carry_the_atlas_to_every_head(head):
    # the sella is the origin of head coordinates, x runs to the left, y back, z up
    where = head.coordinates[:, head.mask("Pituitary")].mean(1)
    assert np.abs(where).max() < 4
    for component, axis in ((0, 2), (1, 1), (2, 0)):
        assert (np.diff(head.coordinates[component, ::6, ::6, ::6], axis=axis) > 0).all()


def test_arteries_reach_the_brain_through_the_skull(head):
    near = ndimage.binary_dilation(head.mask("Brain"), iterations=2)
    inside = head.of("artery") & near
    # siphons, basilar and middle cerebral arteries: on both sides, in front of the brainstem
    assert 0.3 < _ml(inside) < 6
    stem = head.centre("Brainstem")
    for name in ("A_Carotid_L", "A_Carotid_R"):
        assert (head.points(name)[:, 2] > head.centre("Pituitary")[2] - 4).any()
        assert (head.points(name)[:, 2] < stem[2] - 80).any()
    box = head.near(stem, (-6, -24, -14), (6, -4, 10))
    assert head.of("artery")[box].any()
