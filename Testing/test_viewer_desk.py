"""What a visitor has and asked for, without scene and page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="needs the browser part (pip install mrisynth[view])")

from dicom_series import write_series
from fakes import head
from MRISynthApp.inputs import NOBODY
from MRISynthApp.viewer import tables
from MRISynthApp.viewer.desk import CORRECTED_NOTE, SIMULATED, Desk
from MRISynthApp.viewer.reading import read
from MRISynthLib import io, panel
from MRISynthLib.errors import InputError
from MRISynthLib.progress import SILENT
from MRISynthLib.worker import ModelCache
from MRISynthSegmentLib.io import save_segmentation
from viewer_tasks import HANDLERS

SHAPE = (8, 32, 28)


def image(name: str, seed: int = 0, **attributes):
    return head(seed, SHAPE, name=name, **attributes)


@pytest.fixture
def desk() -> Desk:
    """T1w, T2w and the real CE-T1w, which is not an input; a model that takes clicks."""
    model = panel.first_model("segmentation")
    model = replace(model, metadata={**model.metadata, "clicks": True})
    made = Desk(panel.first_model("synthesis"), model)
    made.add([image("T1w"), image("T2w", 1)])
    (key,) = made.add([image("CE-T1w", 2)], ticked=False)
    made.tick_target("CE-T1w", True)
    for row in made.targets():
        if row.sequence != "CE-T1w" and row.ticked:
            made.tick_target(row.sequence, False)
    assert key in made.images
    return made


def run(order):
    """What the worker would answer."""
    return HANDLERS[order.task](dict(order.parameters), list(order.volumes), SILENT, ModelCache())


def synthesised(desk: Desk) -> list[str]:
    order = desk.synthesis(0)
    return desk.take_synthesis(run(order), order)


def test_an_empty_desk_says_what_to_do_first():
    desk = Desk(panel.first_model("synthesis"), panel.first_model("segmentation"))
    assert "drop files" in desk.why_not_apply()
    assert "drop files" in desk.why_not_segment()
    with pytest.raises(InputError, match="drop files"):
        desk.synthesis(None)


def test_the_request_has_the_inputs_with_their_sequences_and_the_visible_slice(desk):
    order = desk.synthesis(3)
    assert [volume.sequence for volume in order.volumes] == ["T1w", "T2w"]
    assert order.parameters["visible_slice"] == 3
    assert order.parameters["targets"] == [{"sequence": "CE-T1w", "prompt": ""}]


def test_a_result_comes_beside_the_real_image_with_its_uncertainty(desk):
    (key,) = synthesised(desk)
    assert desk.images[key].volume.is_synthetic
    assert desk.uncertainty[key].provenance.kind == "uncertainty"
    assert desk.images[desk.real_beside(key)].volume.name == "CE-T1w"
    row = tables.images(desk)[-1]
    assert row["synthetic"]
    assert row["name"].startswith("SYNTHETIC")
    assert not row["ticked"], "a synthetic image is no input unasked"
    desk.remove(key)
    assert key not in desk.uncertainty


def test_without_the_real_sequence_the_first_input_stands_beside(desk):
    real = next(row.key for row in desk.rows() if row.name == "CE-T1w")
    desk.remove(real)
    (key,) = synthesised(desk)
    assert desk.images[desk.real_beside(key)].volume.name == "T1w"
    assert "real CE-T1w" in tables.mode_reasons(desk, desk.real_beside(key), key)["difference"]


def with_two_series(folder, change):
    """A desk with a T1w and a T2w of DICOM series, the second one changed; and their keys."""
    write_series(folder / "a")
    write_series(folder / "b", change=change, series="1.2.3.9")
    desk = Desk(panel.first_model("synthesis"), panel.first_model("segmentation"))
    keys = []
    for name, sequence in (("a", "T1w"), ("b", "T2w")):
        found = read([folder / name])
        assert found.origins[0].patient and found.origins[0].study
        keys += desk.add(found.images, found.files, origin=found.origins[0])
        desk.choose(keys[-1], sequence)
    return desk, keys


def test_images_of_two_patients_are_not_mixed(tmp_path):
    """Whose a DICOM series is comes from its files; what is made of it is of the same patient."""

    def second(data, _index):
        data.PatientID, data.PatientName = "4712", "Roe^Jane"

    desk, keys = with_two_series(tmp_path, second)
    assert [row.key for row in desk.used()] == keys[:1], "the other patient's is not used unasked"
    assert "is of another patient or study than" in desk.not_used(keys[1:])
    assert not desk.not_used(keys[:1])
    segmented(desk)
    assert [desk.goes_with_structures(key) for key in keys] == [True, False]
    desk.tick(keys[1], True)
    desk.tick(keys[0], True)
    assert "is of another patient than" in desk.why_not_apply()
    assert "is of another patient than" in desk.why_not_segment()
    desk.tick(keys[0], False)
    desk.prompt = "CE-T1w"
    made = synthesised(desk)
    assert desk.images[made[0]].origin == desk.images[keys[1]].origin
    assert desk.images[made[0]].origin.patient == "4712"
    desk.remove(keys[1])
    assert desk.real_beside(made[0]) is None, "the other patient's image is not put beside it"
    desk.choose(keys[0], desk.images[made[0]].volume.sequence)
    with pytest.raises(InputError, match="of another patient"):
        desk.comparison(keys[0], made[0])


def test_two_studies_of_a_patient_are_not_mixed_unasked(tmp_path):
    def second(data, _index):
        data.StudyInstanceUID = "1.2.3.77"

    desk, keys = with_two_series(tmp_path, second)
    assert [row.key for row in desk.used()] == keys[:1] and not desk.remark()
    desk.prompt = "CE-T1w"
    (made,) = synthesised(desk)
    desk.tick(keys[0], False)
    assert [row.key for row in desk.used_to_segment()] == keys[1:], "nor what was made of the other"
    desk.tick(keys[0], True)
    desk.tick(keys[1], True)
    assert "is of another study than" in desk.remark() and not desk.why_not_apply()
    desk.remove(keys[0])
    assert desk.real_beside(made) is None, "the other study's image is not put beside it"


def test_series_of_two_patients_in_one_folder_are_told_apart(tmp_path):
    def second(data, _index):
        data.PatientID, data.PatientName = "", "Roe^Jane"

    write_series(tmp_path)
    write_series(tmp_path, change=second, prefix="X", series="1.2.3.9")
    whose = [origin.patient for origin in read([tmp_path]).origins]
    assert sorted(whose) == ["4711", "roe^jane"]


def test_whose_an_image_is_that_is_no_dicom_is_not_known(tmp_path):
    io.save(image("T1w"), tmp_path / "t1.nii.gz")
    assert read([tmp_path / "t1.nii.gz"]).origins == [NOBODY]


def test_words_that_mean_nothing_keep_apply_off(desk):
    desk.prompt = "qwertz uiop"
    assert desk.understanding().problem
    assert desk.why_not_apply() == desk.understanding().problem


def segmented(desk: Desk) -> None:
    desk.ticked_structures = ("GTVp", "Brainstem")
    order = desk.segmenting()
    desk.take_segmentation(run(order), order)


def corrected(desk: Desk, structure: str = "GTVp") -> None:
    corner = desk.segmentation.reference.corners()[0]
    order = desk.correction(structure, corner, True)
    desk.take_correction(run(order), order)


def test_a_correction_changes_one_structure_and_can_be_taken_back(desk):
    segmented(desk)
    before = {name: mask.copy() for name, mask in desk.segmentation.masks.items()}
    corrected(desk)
    assert desk.segmentation.masks["GTVp"].sum() > before["GTVp"].sum()
    assert (desk.segmentation.masks["Brainstem"] == before["Brainstem"]).all()
    assert CORRECTED_NOTE in desk.segmentation.warnings
    assert desk.undo() == ("GTVp",)
    assert (desk.segmentation.masks["GTVp"] == before["GTVp"]).all()
    assert desk.redo() == ("GTVp",)
    assert desk.undo() == ("GTVp",)
    assert desk.undo() == ()


def test_a_click_takes_from_the_neighbours_only_if_that_is_wished(desk):
    segmented(desk)
    neighbour = desk.segmentation.masks["Brainstem"]
    nothing = np.zeros_like(neighbour)  # what the click adds lies inside the neighbour
    masks = {**desk.segmentation.masks, "GTVp": nothing}
    desk.segmentation = replace(desk.segmentation, masks=masks)
    middle = desk.segmentation.reference.corners().mean(axis=0)
    for exclusive in (False, True):
        order = desk.correction("GTVp", middle, True)
        grown = desk.take_correction(run(order), order, exclusive)
        tumour, brainstem = (desk.segmentation.masks[name] for name in ("GTVp", "Brainstem"))
        assert grown["GTVp"] > 0
        if exclusive:
            assert grown["Brainstem"] < 0
            assert not (tumour & brainstem).any()
            assert (brainstem == neighbour & ~tumour).all()
        else:
            assert list(grown) == ["GTVp"]
            assert (brainstem == neighbour).all()
        assert "GTVp" in desk.undo()
        assert (desk.segmentation.masks["Brainstem"] == neighbour).all()


def test_a_model_without_clicks_says_so_and_is_not_asked(desk):
    segmented(desk)
    desk.segmenter = replace(desk.segmenter, metadata={**desk.segmenter.metadata, "clicks": False})
    assert "takes no clicks" in desk.why_not_correct()
    with pytest.raises(InputError, match="takes no clicks"):
        desk.correction("GTVp", (0, 0, 0), True)


def test_earlier_clicks_go_with_the_next_one(desk):
    segmented(desk)
    corrected(desk)
    order = desk.correction("GTVp", (0.0, 0.0, 0.0), False)
    assert [click[3] for click in order.parameters["clicks"]] == [True, False]


def test_what_was_corrected_stays_when_structures_are_found_anew(desk):
    segmented(desk)
    corrected(desk)
    mine = desk.segmentation.masks["GTVp"].copy()
    segmented(desk)
    assert (desk.segmentation.masks["GTVp"] == mine).all()


def test_a_correction_needs_structures_and_their_image(desk):
    with pytest.raises(InputError, match="find structures first"):
        desk.correction("GTVp", (0, 0, 0), True)
    segmented(desk)
    for row in desk.rows():
        desk.tick(row.key, False)
    with pytest.raises(InputError, match="tick it again"):
        desk.correction("GTVp", (0, 0, 0), True)


def test_structures_go_with_the_image_that_they_lie_on(desk):
    segmented(desk)
    corrected(desk)
    first, second = (row.key for row in desk.rows()[:2])
    desk.remove(second)
    assert desk.segmentation is not None
    desk.remove(first)
    assert desk.segmentation is None
    assert not desk.history.edited, "an undo would bring them back over the next patient"


def test_corrected_structures_are_not_replaced_by_those_of_another_image(desk):
    segmented(desk)
    assert not desk.why_not_segment()
    corrected(desk)
    mine, first = desk.segmentation, desk.drawn_on
    desk.add([image("T1w later", 5, sequence="T1w")])  # on the same grid
    desk.tick(first, False)
    desk.tick(desk.rows()[-1].key, True)
    desk.tick(desk.rows()[1].key, False)
    assert "you corrected lie on T1w" in desk.why_not_segment()
    with pytest.raises(InputError, match="untick that"):
        desk.segmenting()
    with pytest.raises(InputError, match="tick it again"):
        desk.correction("GTVp", (0, 0, 0), True)
    with pytest.raises(InputError, match="Start anew"):
        desk.bring_structures(mine, first)
    while desk.undo():
        pass
    assert not desk.why_not_segment()
    segmented(desk)
    assert desk.drawn_on == desk.rows()[-1].key
    assert not desk.history.can_redo


def test_the_simulated_patient_is_not_mixed_with_files_that_do_not_say_whose_they_are(desk):
    desk.add([image("T1w"), image("FLAIR", 7)], origin=SIMULATED)
    assert [row.sequence for row in desk.used()] == ["T1w", "T2w"]
    alone = Desk(desk.model, desk.segmenter)
    alone.add([image("T1w"), image("T2w", 1)], origin=SIMULATED)
    alone.add([image("FLAIR", 7)])
    assert [row.sequence for row in alone.used()] == ["T1w", "T2w"]


def test_numbers_are_for_a_real_and_a_synthetic_image_of_one_sequence(desk):
    (key,) = synthesised(desk)
    segmented(desk)
    order = desk.comparison(desk.real_beside(key), key)
    assert [volume.name for volume in order.volumes][2:] == ["GTVp"]
    with pytest.raises(InputError):
        desk.comparison(desk.rows()[0].key, desk.rows()[1].key)
    figures = tables.figures(run(order).info)
    assert figures[0]["region"] == "body"


# -------------------------------------------------------------------------------- reading


def test_a_folder_gives_images_their_uncertainty_and_contours(desk, tmp_path):
    (key,) = synthesised(desk)
    segmented(desk)
    for number, row in enumerate(desk.rows()):
        io.save(
            desk.images[row.key].volume, tmp_path / f"{number:05d}_{row.sequence}-{number}.nrrd"
        )
    io.save(desk.uncertainty[key], tmp_path / "00009_doubt.nrrd")
    save_segmentation(desk.segmentation, tmp_path / "00010_drawn.seg.nrrd")
    found = read([tmp_path])
    assert len(found.images) == 4
    assert list(found.uncertainty) == [3]
    assert found.images[3].is_synthetic
    assert [path.name for path in found.contours] == ["00010_drawn.seg.nrrd"]
    assert not any(volume.name[:5].isdigit() for volume in found.images)
