"""The panel of module MRISynthSegment: exports, and a window that answers meanwhile."""

from __future__ import annotations

import importlib
import types

from panel_cases import add_volume, tick_input
from panel_segment_cases import (
    STEM,
    TUMOUR,
    answer,
    apply,
    begin,
    click,
    finished,
    section,
    shown_node,
)


def choose(desk, panel, name):
    from MRISynthSegmentLib import exports

    ui = section(panel, "Export").ui
    ui.formatComboBox.setCurrentIndex([each.name for each in exports.FORMATS].index(name))
    desk.process()
    return ui


def test_contours_are_exported_on_the_series_in_the_database(
    desk, jobs, drawn, tmp_path, monkeypatch
):
    import sys

    files = {"1.2.3": "/db/a.dcm", "1.2.4": "/db/b.dcm"}
    database = types.SimpleNamespace(
        isOpen=True, fileForInstance=files.get, instanceValue=lambda *_: ""
    )
    monkeypatch.setattr(desk.slicer, "dicomDatabase", database, raising=False)
    added = []

    def take(folder, copyFiles):  # noqa: N803
        import os

        added.append(sorted(os.listdir(folder)))
        return True

    library = types.ModuleType("DICOMLib")
    library.DICOMUtils = types.SimpleNamespace(importDicom=take)
    monkeypatch.setitem(sys.modules, "DICOMLib", library)
    ui = section(drawn, "Export").ui
    desk.process()
    assert not ui.exportButton.enabled and "folder of the series" in ui.exportButton.toolTip
    image = desk.slicer.util.getNode("t1_tse_tra")
    image.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    drawn.scheduleRefresh()
    desk.process()
    assert "2 files in Slicer's DICOM database" in ui.seriesLabel.text
    assert ui.exportButton.enabled, ui.exportButton.toolTip
    ui.exportButton.click()
    desk.process()
    job = jobs[-1]
    assert job.task == "export" and job.parameters["references"] == list(files.values())
    assert job.parameters["types"] == {"GTVp": "AUTOMATIC", "Brainstem": "AUTOMATIC"}
    from pathlib import Path

    from MRISynthLib.worker import TaskResult

    target = Path(job.parameters["path"])
    assert target.name == "Contours_on_T1w.rtstruct.dcm"
    target.write_bytes(b"DICM")
    job.finish(TaskResult([], {"files": [str(target)], "warnings": ["Look at it."]}))
    desk.process()
    assert added == [["Contours_on_T1w.rtstruct.dcm"]] and not target.parent.exists()
    assert ui.exportLabel.text == "Written: Slicer's DICOM database\nLook at it."


def test_what_a_format_needs_is_asked_for_and_refusals_are_said(desk, jobs, drawn, tmp_path):
    from MRISynthLib.errors import InputError

    ui = choose(desk, drawn, "rtstruct")
    assert not ui.referencePathLineEdit.isHidden() and ui.imageSelector.isHidden()
    assert not ui.databaseCheckBox.enabled, "there is no database here"
    ui.referencePathLineEdit.currentPath = str(tmp_path)
    desk.process()
    assert ui.exportButton.toolTip == "Choose a folder to write into."
    ui.folderPathLineEdit.currentPath = str(tmp_path)
    desk.process()
    ui.exportButton.click()
    desk.process()
    jobs[-1].finish(InputError("The series 't1' lacks 1 of 5 slices; get it complete."))
    desk.process()
    assert ui.exportLabel.text == "The series 't1' lacks 1 of 5 slices; get it complete."
    assert ui.exportButton.enabled and not desk.said
    ui.exportButton.click()
    desk.process()
    ui.exportCancelButton.click()
    assert jobs[-1].cancelled


def test_a_synthetic_image_asks_whose_it_is(desk, jobs, drawn, tmp_path):
    from MRISynthLib.mrml import node_from_volume
    from MRISynthSegmentLib.placed.mrml import grid_of
    from panel_cases import synthetic

    ui, parameters = choose(desk, drawn, "dicom-mr"), drawn.logic.getParameterNode()
    assert ui.exportButton.toolTip == "Choose the synthetic image to write."
    parameters.exportImage = desk.slicer.util.getNode("t1_tse_tra")
    ui.folderPathLineEdit.currentPath = str(tmp_path)
    desk.process()
    assert "is a real image" in ui.exportButton.toolTip
    parameters.exportImage = node_from_volume(synthetic(grid_of(shown_node(drawn)), "CE-T1w"))
    desk.process()
    assert "does not say whose it is" in ui.exportLabel.text
    ui.patientIDLineEdit.text, ui.patientNameLineEdit.text = "P7", "Doe^John"
    ui.burnInCheckBox.checked = True
    desk.process()
    ui.exportButton.click()
    desk.process()
    asked = jobs[-1].parameters
    assert asked["study"] == {"patient_id": "P7", "patient_name": "Doe^John"} and asked["burn_in"]
    from MRISynthLib.errors import Cancelled

    jobs[-1].finish(Cancelled())
    desk.process()
    ui.nobodyCheckBox.checked = True
    desk.process()
    ui.exportButton.click()
    desk.process()
    assert jobs[-1].parameters["study"] == {}
    assert "P7" not in str(desk.slicer.mrmlScene.GetSceneXMLString() or ""), "kept nowhere"
    desk.slicer.mrmlScene.Clear(0)
    desk.process()
    assert not ui.patientIDLineEdit.text and not ui.patientNameLineEdit.text, "another's"
    assert not ui.nobodyCheckBox.checked


def test_whose_one_image_is_is_not_said_of_another(desk, jobs, drawn, tmp_path):
    """Two patients in one scene: the ID typed for the first must not go out with the second."""
    from MRISynthLib.mrml import node_from_volume, volume_from_node
    from MRISynthLib.node_attributes import set_sources
    from panel_cases import synthetic

    def made_of(source, sequence):
        node = node_from_volume(synthetic(volume_from_node(source), sequence))
        set_sources(node, [source.GetID()])
        return node

    first, other = desk.slicer.util.getNode("t1_tse_tra"), add_volume(desk, "t1 of another", 7)
    ours, ours_too, theirs = (
        made_of(first, "CE-T1w"),
        made_of(first, "STIR"),
        made_of(other, "STIR"),
    )
    ui, parameters = choose(desk, drawn, "dicom-mr"), drawn.logic.getParameterNode()
    ui.folderPathLineEdit.currentPath = str(tmp_path)
    parameters.exportImage = ours
    desk.process()
    ui.patientIDLineEdit.text, ui.patientNameLineEdit.text = "P7", "Doe^John"
    desk.process()
    parameters.exportImage = ours_too
    desk.process()
    assert ui.patientIDLineEdit.text == "P7" and ui.exportButton.enabled, "the same patient's"
    parameters.exportImage = theirs
    desk.process()
    assert ui.patientIDLineEdit.text == ui.patientNameLineEdit.text == ""
    assert not ui.exportButton.enabled and "does not say whose it is" in ui.exportLabel.text
    ui.nobodyCheckBox.checked = True
    parameters.exportImage = ours
    desk.process()
    assert not ui.nobodyCheckBox.checked
    # the folder of a series is that of one image too
    choose(desk, drawn, "rtstruct")
    ui.referencePathLineEdit.currentPath = str(tmp_path)
    desk.process()
    assert ui.exportButton.enabled
    shown_node(drawn).SetReferenceImageGeometryParameterFromVolumeNode(other)
    desk.process()
    drawn.scheduleRefresh()
    desk.process()
    assert not ui.referencePathLineEdit.currentPath and not ui.exportButton.enabled


def test_a_study_that_is_imported_later_is_found(desk, jobs, monkeypatch):
    database = types.SimpleNamespace(
        isOpen=True, fileForInstance=lambda uid: "", instanceValue=lambda uid, tag: ""
    )
    monkeypatch.setattr(desk.slicer, "dicomDatabase", database, raising=False)
    panel = desk.open("MRISynthSegment")
    node = add_volume(desk, "t1_tse_tra")
    node.SetAttribute("DICOM.instanceUIDs", "1.2 1.3")
    known = section(panel, "Export").database
    assert known.files_of(node) == ()
    database.fileForInstance = lambda uid: f"{uid}.dcm"
    desk.open("MRISynth")  # as to the DICOM module and back
    assert known.files_of(node) == ("1.2.dcm", "1.3.dcm")


def made_from(*sources):
    """A synthetic image on the grid of the last of these."""
    from MRISynthLib import mrml
    from MRISynthLib.node_attributes import set_sources
    from MRISynthLib.provenance import Provenance

    inputs = [{"sequence": "T1w", "name": node.GetName()} for node in sources]
    record = Provenance(synthetic=True, sequence="STIR", inputs=tuple(inputs))
    image = mrml.volume_from_node(sources[-1]).replace(name="STIR", provenance=record)
    node = mrml.node_from_volume(image)
    set_sources(node, [each.GetID() for each in sources])
    return node


def test_contours_on_a_synthetic_image_refer_to_the_series_it_was_made_from(
    desk, jobs, monkeypatch
):
    files = {"1.2": "/db/a.dcm", "1.3": "/db/b.dcm"}
    database = types.SimpleNamespace(
        isOpen=True, fileForInstance=files.get, instanceValue=lambda *_: ""
    )
    monkeypatch.setattr(desk.slicer, "dicomDatabase", database, raising=False)
    real = add_volume(desk, "t1_tse_tra")
    real.SetAttribute("DICOM.instanceUIDs", "1.2 1.3")
    made = made_from(real)
    made.SetAttribute("MRISynth.ChosenSequence", "CE-T1w")
    panel = desk.open("MRISynthSegment")
    tick_input(desk, panel, "t1_tse_tra", False)
    tick_input(desk, panel, made.GetName())
    apply(desk, panel, jobs, GTVp=TUMOUR)
    assert panel.logic.referenceOf(shown_node(panel)) is made
    ui = section(panel, "Export").ui
    assert ui.seriesLabel.text == "t1_tse_tra: 2 files in Slicer's DICOM database"
    ui.exportButton.click()
    desk.process()
    assert jobs[-1].parameters["references"] == list(files.values())


def test_a_synthetic_image_refers_to_its_own_source_not_to_another_of_that_name(desk):
    from MRISynthSegmentLib.exported.mrml import inputs_of

    first, second = add_volume(desk, "t1_tse_tra"), add_volume(desk, "t1_tse_tra", 2)
    assert inputs_of(made_from(first)) == (first,)
    two = inputs_of(made_from(second, first))
    assert two == (second, first), "two images of one name are two series"


def test_a_synthetic_image_whose_source_was_deleted_refers_to_no_other_series_of_that_name(desk):
    from MRISynthSegmentLib.exported.mrml import inputs_of

    first, other = add_volume(desk, "t1_tse_tra"), add_volume(desk, "t1_tse_tra", 2)
    other.SetOrigin(7.0, 3.0, 0.0)  # of another day, or another patient
    made = made_from(first)
    desk.slicer.mrmlScene.RemoveNode(first)
    assert inputs_of(made) == ()
    again = add_volume(desk, "t1_tse_tra")
    assert inputs_of(made) == (again,), "it was loaded again"


def test_places_of_this_machine_are_not_in_a_scene_that_is_given_away(desk, jobs, drawn, tmp_path):
    folder, series, other = (tmp_path / name for name in ("out", "series of Doe", "nowhere"))
    folder.mkdir()
    ui = choose(desk, drawn, "rtstruct")
    ui.referencePathLineEdit.currentPath = str(series)
    ui.folderPathLineEdit.currentPath = str(folder)
    desk.process()
    ui.exportButton.click()
    desk.process()
    assert jobs[-1].parameters["references"] == [str(series)]
    saved = tmp_path / "scene.mrml"
    desk.slicer.mrmlScene.SetURL(str(saved))
    assert desk.slicer.mrmlScene.Commit()
    assert str(tmp_path) not in saved.read_text(encoding="utf-8").replace(str(saved), "")
    desk.slicer.mrmlScene.Clear(0)
    desk.process()
    assert not ui.referencePathLineEdit.currentPath, "that is another patient's"
    assert ui.folderPathLineEdit.currentPath == str(folder)
    again = section(desk.open("MRISynthSegment", fresh=True), "Export").ui
    assert again.folderPathLineEdit.currentPath == str(folder)
    folder.rename(other)
    again = section(desk.open("MRISynthSegment", fresh=True), "Export").ui
    assert not again.folderPathLineEdit.currentPath


def test_a_slicer_segmentation_is_saved_whole_or_not_at_all(
    desk, jobs, drawn, tmp_path, monkeypatch
):
    from pathlib import Path

    def export(node, path, properties):
        Path(path).write_text("half", encoding="utf-8")
        return export.works

    monkeypatch.setattr(desk.slicer.util, "exportNode", export)
    ui = choose(desk, drawn, "seg.nrrd")
    ui.folderPathLineEdit.currentPath = str(tmp_path)
    desk.process()
    export.works = False
    ui.exportButton.click()
    desk.process()
    assert not list(tmp_path.iterdir()) and "could not be written" in desk.said[0]
    export.works = True
    for name in ("Contours_on_T1w.seg.nrrd", "Contours_on_T1w_2.seg.nrrd"):
        ui.exportButton.click()
        desk.process()
        assert (tmp_path / name).is_file() and name in ui.exportLabel.text


def test_what_is_being_changed_is_not_saved_half_way(desk, jobs, drawn, tmp_path, monkeypatch):
    portions = importlib.import_module("MRISynthWidgets.portions")
    monkeypatch.setattr(portions, "AT_ONCE_SECONDS", -1.0)  # a pause after each structure
    saved = []
    monkeypatch.setattr(
        desk.slicer.util, "exportNode", lambda node, path, properties: saved.append(node)
    )
    ui = choose(desk, drawn, "seg.nrrd")
    ui.folderPathLineEdit.currentPath = str(tmp_path)
    begin(desk, drawn)
    assert ui.exportButton.enabled
    click(desk, drawn, 2, 5, 8)
    assert "is being changed" in ui.exportButton.toolTip and not ui.exportButton.enabled
    answer(desk, jobs[-1], STEM)
    assert ui.exportButton.enabled and ui.exportLabel.text == ""
    drawn.ui.applyButton.click()
    desk.process()
    finished(jobs[-1], GTVp=TUMOUR, Brainstem=TUMOUR)
    drawn.run._poll()
    drawn.portions._go_on()
    assert drawn.portions.running and ui.exportButton.enabled, "the panel was not refreshed yet"
    ui.exportButton.click()
    assert not saved and "is being changed" in desk.said[-1]
    drawn._refreshNow()
    assert not ui.exportButton.enabled
    desk.wait(lambda: not drawn.portions.running)
    desk.process()
    assert ui.exportButton.enabled


def test_an_export_that_fails_does_not_leave_what_was_written_before(
    desk, jobs, drawn, tmp_path, monkeypatch
):
    from pathlib import Path

    monkeypatch.setattr(
        desk.slicer.util, "exportNode", lambda node, path, properties: Path(path).touch() is None
    )
    ui = choose(desk, drawn, "seg.nrrd")
    ui.folderPathLineEdit.currentPath = str(tmp_path)
    desk.process()
    ui.exportButton.click()
    desk.process()
    assert ui.exportLabel.text.startswith("Written")
    ui.folderPathLineEdit.currentPath = str(tmp_path / "gone")
    desk.process()
    ui.exportButton.click()
    desk.process()
    assert "cannot be written" in desk.said[-1] and not ui.exportLabel.text


def test_the_window_answers_while_a_segmentation_is_read(desk, jobs, two, tmp_path, monkeypatch):
    portions = importlib.import_module("MRISynthWidgets.portions")
    monkeypatch.setattr(portions, "AT_ONCE_SECONDS", -1.0)  # a pause after each structure
    export, comparison = section(two, "Export"), section(two, "Comparison")
    choose(desk, two, "rtstruct")
    export.ui.folderPathLineEdit.currentPath = export.ui.referencePathLineEdit.currentPath = str(
        tmp_path
    )
    desk.process()
    count, first = len(jobs), shown_node(two)
    for ui, button, cancel, work in (
        (export.ui, "exportButton", "exportCancelButton", export.work),
        (comparison.ui, "compareButton", "comparisonCancelButton", comparison.work),
    ):
        getattr(ui, button).click()
        assert work.running and len(jobs) == count
        getattr(ui, cancel).click()
        desk.process()
        assert not work.running and len(jobs) == count and "Cancelled" in work.label.text
        getattr(ui, button).click()
        work._portions._go_on()
        first.GetSegmentation().GetSegment("GTVp").SetName(f"GTV {button}")
        desk.process(9)
        assert "changed while it was read" in desk.said.pop() and not work.running
        getattr(ui, button).click()
        desk.process(9)
        assert len(jobs) == count + 1, "pressed again it is done"
        count += 1
        jobs[-1].cancel()


def test_surfaces_are_made_while_the_window_answers(desk, jobs, two, monkeypatch):
    portions = importlib.import_module("MRISynthWidgets.portions")
    monkeypatch.setattr(portions, "AT_ONCE_SECONDS", -1.0)  # a pause after each structure
    from MRISynthSegmentLib.shown.mrml import SURFACE

    def surfaces(node):
        content = node.GetSegmentation()
        found = [content.GetSegment(key).GetRepresentation(SURFACE) for key in ids]
        return [each.GetNumberOfPoints() if each is not None else 0 for each in found]

    first, parameters = shown_node(two), two.logic.getParameterNode()
    ids = first.GetSegmentation().GetSegmentIDs()
    before = surfaces(first)
    assert all(before)
    first.RemoveClosedSurfaceRepresentation()
    parameters.segmentation = None
    desk.process()
    parameters.segmentation = first
    two._refreshNow()
    assert surfaces(first) == [0, 0]
    section(two, "Result")._surfaces._go_on()
    assert surfaces(first) == [0, 0], "all or none"
    desk.process()
    assert surfaces(first) == before
