"""The virtual patients: anatomy, physics, labels, and that a seed means one patient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MRISynthLib.errors import InputError
from MRISynthLib.simulation import LabelMapSource, virtual_patient
from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES
from MRISynthLib.simulation.protocols import draw_protocol, mention, typical_protocol
from MRISynthLib.simulation.signal import Protocol, TissueMaps, signal
from MRISynthLib.simulation.tissues import TISSUE_INDEX, TISSUES, tissue_table


def _maps(*names: str, field_t: float = 3.0) -> TissueMaps:
    """Mean parameters of some tissues as one row of pixels."""
    table = tissue_table(field_t)
    index = torch.tensor([TISSUE_INDEX[name] for name in names])

    def row(key):
        return torch.as_tensor(table[key])[index].view(1, 1, 1, -1)

    return TissueMaps(
        row("t1_ms"), row("t2_ms"), row("proton_density"), row("fat_fraction"), row("uptake_mm"),
        row("adc"), row("hu"), torch.zeros(1, 1, 1, len(names)),
        torch.tensor(table["fat_t1_ms"]), torch.tensor(table["fat_t2_ms"]),
    )  # fmt: skip


def _signals(protocol: Protocol, *names: str) -> dict[str, float]:
    values = signal(_maps(*names, field_t=protocol.field_t), protocol).abs().flatten().tolist()
    return dict(zip(names, values, strict=True))


def test_contrasts_are_those_of_the_textbook():
    t1 = _signals(typical_protocol("T1w"), "fat", "white matter", "grey matter", "CSF")
    assert t1["fat"] > t1["white matter"] > t1["grey matter"] > t1["CSF"]
    t2 = _signals(typical_protocol("T2w"), "CSF", "grey matter", "white matter", "muscle")
    assert t2["CSF"] > t2["grey matter"] > t2["white matter"] > t2["muscle"]
    flair = _signals(typical_protocol("FLAIR"), "CSF", "grey matter")
    assert flair["CSF"] < 0.2 * flair["grey matter"]
    stir = _signals(typical_protocol("STIR"), "fat", "tumour")
    assert stir["fat"] < 0.25 * stir["tumour"]


def test_relaxation_goes_on_with_the_field_below_and_above_the_tables():
    fields = (0.55, 1.0, 1.5, 2.0, 3.0, 7.0)
    for name in ("white matter", "grey matter", "muscle", "fat"):
        t1 = [tissue_table(field)["t1_ms"][TISSUE_INDEX[name]] for field in fields]
        assert (np.diff(t1) > 0).all()
    low = tissue_table(0.55)["t1_ms"]
    # at 0.55 T about 490 and 720 ms are measured (Campbell-Washburn et al., Radiology 293:384)
    assert 400 < low[TISSUE_INDEX["white matter"]] < 600
    assert 600 < low[TISSUE_INDEX["grey matter"]] < 800


def test_agent_brightens_tumour_and_mucosa_as_published_concentrations_say():
    names = ("tumour", "mucosa", "muscle", "fat")
    before = _signals(Protocol("T1w", "SE", 3.0, 600, 13), *names)
    after = _signals(Protocol("CE-T1w", "SE", 3.0, 600, 13, dose=1.0), *names)
    ratio = {name: after[name] / before[name] for name in names}
    assert 1.4 < ratio["tumour"] < 2.0
    assert ratio["mucosa"] > ratio["tumour"] > ratio["muscle"] > 1.0
    assert ratio["fat"] == pytest.approx(1.0, abs=0.05)


def test_stir_nulls_fat_at_the_right_inversion_time():
    times = np.arange(100, 350, 5)
    left = [_signals(Protocol("STIR", "IR", 1.5, 6000, 60, float(t)), "fat")["fat"] for t in times]
    assert 140 <= times[int(np.argmin(left))] <= 200


def test_same_seed_same_patient_and_other_seed_another(patient):
    again = virtual_patient(2026, tuple(patient.volumes), stage="T2", typical=True)
    for name, volume in patient.volumes.items():
        np.testing.assert_array_equal(volume.voxels, again.volumes[name].voxels)
    other = virtual_patient(7, ("T1w",), stage="T2", typical=True)
    assert not np.array_equal(other.volumes["T1w"].voxels, patient.volumes["T1w"].voxels)


def test_structures_are_where_a_radiologist_expects_them(patient):
    masks = patient.segmentation_masks
    assert set(masks) == set(LABELLED_STRUCTURES)
    matrix = patient.volumes["T1w"].index_to_world

    def centre(name: str) -> np.ndarray:
        k, j, i = np.argwhere(masks[name]).mean(0)
        return (matrix @ (i, j, k, 1))[:3]

    for pair in ("Eye", "Parotid", "Lobe_Temporal", "OpticNrv"):
        assert centre(f"{pair}_L")[0] > 5 > -5 > centre(f"{pair}_R")[0]
    assert centre("Eye_L")[1] < centre("Brainstem")[1] - 50
    assert centre("SpinalCord")[2] < centre("Brainstem")[2] < centre("Brain")[2]
    assert centre("Bone_Mandible")[2] < centre("Eye_L")[2] - 30
    voxel_ml = abs(np.linalg.det(matrix[:3, :3])) / 1000
    assert 500 < masks["Brain"].sum() * voxel_ml < 1500  # the vertex lies above the slices
    assert 4 < masks["Eye_L"].sum() * voxel_ml < 10
    assert 1 < masks["GTVp"].sum() * voxel_ml < 120
    assert (masks["Brainstem"] & masks["Brain"]).sum() > 0.9 * masks["Brainstem"].sum()


def test_tumour_enhances_in_the_simulated_truth(patient):
    tumour = patient.segmentation_masks["GTVp"]
    brain = patient.segmentation_masks["Brain"]

    def against_brain(name: str) -> float:
        image = patient.volumes[name].voxels
        return image[tumour].mean() / image[brain].mean()

    assert against_brain("CE-T1w") > 1.2 * against_brain("T1w")


def test_a_prompt_never_contradicts_its_protocol():
    rng = np.random.default_rng(3)
    for sequence in ("T1w", "CE-T1w-FS", "STIR", "CT"):
        for _ in range(30):
            protocol = draw_protocol(sequence, rng)
            said = mention(protocol, rng, plain=0.2)
            assert said.contrast_agent == (protocol.dose > 0)
            for field, value in (("te_ms", protocol.te_ms), ("tr_ms", protocol.tr_ms)):
                assert getattr(said, field) in (None, value)


def test_unknown_sequence_is_refused_with_the_choices():
    with pytest.raises(InputError, match=r"T3w.*T1w"):
        virtual_patient(1, ("T3w",))


def test_label_map_source_refuses_what_it_cannot_use(tmp_path):
    with pytest.raises(InputError, match="no NIfTI"):
        LabelMapSource(tmp_path)
    (tmp_path / "head.nii.gz").write_bytes(b"x")
    with pytest.raises(InputError, match=r"mapping\.json.*missing"):
        LabelMapSource(tmp_path)
    (tmp_path / "mapping.json").write_text('{"tissues": {"granite": [1]}, "soft_tissue": []}')
    with pytest.raises(InputError, match="granite"):
        LabelMapSource(tmp_path)


def test_labelled_heads_become_patients(shared_data):
    from pathlib import Path

    mapping = Path(__file__).parents[1] / "Resources/LabelMaps/freesurfer_whole_head.json"
    source = LabelMapSource(shared_data / "labels_heads", mapping)
    patient = virtual_patient(4, ("T1w", "T2w"), stage="T3", source=source, typical=True)
    masks = patient.segmentation_masks
    assert masks["GTVp"].any() and masks["Lobe_Temporal_L"].any() and "Cochlea_L" not in masks
    t2 = patient.volumes["T2w"].voxels
    assert t2[masks["Eye_L"]].mean() > 1.5 * t2[masks["Brain"]].mean()


def test_every_tissue_has_physical_parameters():
    for tissue in TISSUES:
        assert all(t1 >= t2 for t1, t2 in zip(tissue.t1_ms, tissue.t2_ms, strict=True))
        assert 0 <= tissue.fat_fraction <= 1 and 0 <= tissue.proton_density <= 1


def test_a_protocol_put_into_the_prompt_is_understood():
    from MRISynthLib.prompts import understand
    from MRISynthLib.sequences import SEQUENCE_NAMES
    from MRISynthLib.simulation.protocols import protocol_prompt

    rng = np.random.default_rng(8)
    for sequence in SEQUENCE_NAMES:
        for _ in range(8):
            protocol = draw_protocol(sequence, rng)
            contrast = understand(protocol_prompt(protocol), sequence)
            assert contrast.sequence == sequence and not contrast.not_understood
            if protocol.technique not in ("CT", "ADC"):
                assert contrast.te_ms == pytest.approx(protocol.te_ms, abs=0.06)
