"""What holds for every widget of both panels and of their sections."""

from __future__ import annotations

import importlib
import itertools
import sys

import numpy as np
import pytest

from MRISynthLib.progress import SliceReady
from panel_cases import add_volume, comparison_result, synthesis_result, tick_input

MODULES = ("MRISynth", "MRISynthSegment")
PARAMETER = "SlicerParameterName"
COMBO_BOXES = ("QComboBox", "ctkComboBox")


def uis_of(panel):
    return [panel.ui, *(section.ui for section in panel.sections)]


def widgets_of(panel):
    """All named widgets of the panel and of its sections, by name."""
    return {name: widget for ui in uis_of(panel) for name, widget in vars(ui).items()}


def bound_widgets(panel):
    widgets = widgets_of(panel).values()
    return [widget for widget in widgets if widget.property(PARAMETER)]


def other_values(desk, widget):
    """Two values that the widget can show, other than the present one first."""
    kind = widget.className()
    if kind in ("QCheckBox", "QPushButton"):
        return "checked", [not widget.checked, widget.checked]
    if kind in COMBO_BOXES:
        assert widget.count > 1, f"{widget.name} has nothing to choose from"
        return "currentIndex", [(widget.currentIndex + 1) % widget.count, widget.currentIndex]
    if kind in ("QLineEdit", "QLabel"):
        return "text", ["T2w", widget.text]
    if kind == "ctkPathLineEdit":
        return "currentPath", ["/tmp", widget.currentPath]
    low, high = widget.minimum, widget.maximum
    assert low < high, f"{widget.name} has no range"
    return "value", [high if widget.value != high else low, widget.value]


@pytest.mark.parametrize("name", MODULES)
def test_every_binding_is_live_both_ways(desk, jobs, name):
    add_volume(desk, "t1_tse_tra"), add_volume(desk, "t2_tse_tra")
    panel = desk.open(name)
    parameters, bound = panel._parameterNode, bound_widgets(panel)
    assert len(bound) > 3
    for widget in bound:
        if widget.className() == "qMRMLNodeComboBox":
            continue
        parameter, (key, values) = widget.property(PARAMETER), other_values(desk, widget)
        seen = [parameters.getValue(parameter)]
        for value in values:  # from the widget to the scene
            setattr(widget, key, value)
            seen.append(parameters.getValue(parameter))
        assert seen[1] != seen[0] and seen[2] == seen[0], widget.name
        for value, shown in zip((seen[1], seen[0]), values, strict=True):  # and back
            parameters.setValue(parameter, value)
            assert getattr(widget, key) == shown, widget.name
        desk.process()


@pytest.mark.parametrize("name", MODULES)
def test_every_node_selector_is_live_both_ways(desk, jobs, name):
    panel = desk.open(name)
    selectors = [w for w in bound_widgets(panel) if w.className() == "qMRMLNodeComboBox"]
    assert selectors
    for widget in selectors:
        parameter = widget.property(PARAMETER)
        (kind,) = widget.nodeTypes
        one, two = (desk.slicer.mrmlScene.AddNewNodeByClass(kind, name) for name in "ab")
        for node in (one, two):
            widget.setCurrentNode(node)
            assert panel._parameterNode.getValue(parameter) is node, widget.name
        panel._parameterNode.setValue(parameter, one)
        assert widget.currentNode() is one
        desk.slicer.mrmlScene.RemoveNode(one)  # behind the panel's back
        desk.process()
        assert panel._parameterNode.getValue(parameter) is not one
        assert widget.currentNode() is panel._parameterNode.getValue(parameter)
    assert not desk.said


@pytest.mark.parametrize("name", MODULES)
def test_every_widget_says_what_it_is_for(desk, name):
    silent = [
        widget.name
        for widget in widgets_of(desk.open(name)).values()
        if not widget.name.startswith("qt_")
        and (widget.property(PARAMETER) or isinstance(widget, desk.qt.QAbstractButton))
        and not widget.className().startswith("ctkCollapsible")
        and not widget.toolTip
        and widget.name != "applyButton"
    ]
    assert not silent, f"no tooltip: {silent}"


def takes_wheel(desk, widget):
    """Turn the mouse's wheel over a widget: whether that keeps it from what it lies in."""
    from PySide6.QtCore import QPoint, QPointF, Qt
    from PySide6.QtGui import QWheelEvent

    from qt_host.pythonqt import unwrap

    place, none, notch = QPointF(5, 5), QPoint(0, 0), QPoint(0, -120)
    buttons, keys = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    phase = Qt.ScrollPhase.NoScrollPhase
    event = QWheelEvent(place, place, none, notch, buttons, keys, phase, False)
    desk.app.qt_application.sendEvent(unwrap(widget), event)
    desk.process()
    return event.isAccepted()


@pytest.mark.parametrize("name", MODULES)
def test_the_wheel_scrolls_the_panel_and_changes_no_choice(desk, jobs, name):
    for index, series in enumerate(("t1_tse_tra", "t2_tse_tra")):
        add_volume(desk, series, index)
    panel = desk.open(name)
    sequence = panel.ui.inputTable.cellWidget(0, 1)
    sequence.setFocus()  # as after choosing from it
    combos = [widget for widget in widgets_of(panel).values() if widget.className() in COMBO_BOXES]
    assert len(combos) > 1
    for combo in (sequence, *combos):
        if not combo.enabled:
            continue
        chosen = combo.currentIndex
        assert not takes_wheel(desk, combo), f"{combo.name} keeps the panel from scrolling"
        assert combo.currentIndex == chosen, f"{combo.name} was changed"
    assert [row.chosen for row in panel.logic.inputs.rows()] == [None, None]


@pytest.mark.parametrize("full", (False, True), ids=("empty scene", "with volumes"))
@pytest.mark.parametrize("name", MODULES)
def test_every_button_can_be_pressed(desk, jobs, name, full, tmp_path):
    """At any moment: nothing fails in a way that nobody foresaw."""
    if full:
        for index, series in enumerate(("t1_tse_tra", "t2_tse_tra")):
            add_volume(desk, series, index)
    panel = desk.open(name)
    buttons = (desk.qt.QPushButton, desk.qt.QToolButton)
    pressed = set()
    for answer, agreed in itertools.product(("", str(tmp_path / "file")), (False, True)):
        desk.qt.QFileDialog.answer, desk.questions.answer = answer, agreed
        for key, widget in widgets_of(panel).items():
            if isinstance(widget, buttons) and widget.enabled and not key.startswith("qt_"):
                widget.click()
                pressed.add(key)
                desk.process()
        for job in jobs:
            if full and not job.done and name == "MRISynth":
                compared = job.task == "comparison"
                job.finish(comparison_result(job) if compared else synthesis_result(job))
        desk.process()
    assert ("applyButton" in pressed) == full
    assert not [text for text in desk.said if "unexpected" in text], desk.said
    assert "Something failed" not in panel.ui.messageLabel.text


@pytest.mark.parametrize("name", MODULES)
def test_a_module_can_be_reloaded_even_while_it_works(desk, jobs, name):
    add_volume(desk, "t1_tse_tra")
    old = desk.open(name)
    old.ui.applyButton.click()
    desk.process()
    (job,) = jobs
    job.events = [SliceReady("CE-T1w", 3, np.ones(job.volumes[0].shape[1:], np.float32))]
    desk.process()
    parent = old.parent
    reloaded = desk.slicer.util.reloadScriptedModule(name)
    desk.process()
    assert sys.modules[name] is reloaded and job.cancelled
    volumes = desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert [node.GetName() for node in volumes] == ["t1_tse_tra"], "a half volume is left"
    panel = getattr(desk.slicer.modules, f"{name}Widget")
    assert panel is not old and panel.parent is parent
    assert panel.ui.applyButton.enabled, panel.ui.applyButton.toolTip
    panel.ui.applyButton.click()
    desk.process()
    assert len(jobs) == 2 and not desk.said
    before = old.ui.applyButton.toolTip
    panel._parameterNode.device = "cpu"
    desk.process()
    combo = widgets_of(old)["deviceComboBox"]
    assert combo.currentText != "cpu", "the old panel is still bound"
    assert old.ui.applyButton.toolTip == before


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("meanwhile", ["another module", "another choice", "another scene"])
def test_what_is_done_while_packages_are_installed_is_no_failure(
    desk, jobs, monkeypatch, name, meanwhile
):
    """Minutes at the first Apply, while which Slicer takes clicks."""
    from MRISynthLib import packages

    def installing(installer):
        if meanwhile == "another module":
            desk.open(next(each for each in MODULES if each != name))
        elif meanwhile == "another choice":
            tick_input(desk, panel, "t1_tse_tra", False)
        else:
            desk.slicer.mrmlScene.Clear(0)
        desk.process()

    add_volume(desk, "t1_tse_tra", 1)
    panel = desk.open(name)
    monkeypatch.setattr(packages, "ensure", installing)
    panel.ui.applyButton.click()
    desk.process()
    if meanwhile == "another module":
        assert len(jobs) == 1 and not desk.said, "the user did not take Apply back"
    else:
        assert not jobs and desk.said == [panel.ui.applyButton.toolTip]
        assert not panel.ui.applyButton.enabled and not panel.busy


@pytest.mark.parametrize("name", MODULES)
def test_closing_the_scene_in_the_middle_of_a_run_leaves_an_empty_panel(desk, jobs, name):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open(name)
    panel.ui.applyButton.click()
    desk.process()
    desk.slicer.mrmlScene.Clear(0)
    desk.process()
    assert jobs[0].cancelled and not panel.run.running and not desk.said
    assert panel.ui.inputTable.rowCount == 0 and not panel.ui.applyButton.enabled
    add_volume(desk, "t1_tse_tra")
    desk.process()
    panel.ui.applyButton.click()
    desk.process()
    assert len(jobs) == 2


@pytest.mark.parametrize("name", MODULES)
def test_screenshot_shows_the_panel(desk, jobs, name, tmp_path):
    from PIL import Image

    add_volume(desk, "t1_tse_tra")
    picture = np.asarray(Image.open(desk.screenshot(desk.open(name), tmp_path / "panel.png")))
    assert picture.shape[1] == 420 and picture.shape[0] > 300
    assert picture[..., :3].std() > 10, "nothing was drawn"


def test_scenes_find_our_layouts_and_marks_before_a_panel_is_opened(desk, jobs, monkeypatch):
    from MRISynthLib.views import OWN_LAYOUTS

    cases = importlib.import_module("MRISynthWidgets.sample_case")
    monkeypatch.setattr(cases, "register_sample_case", lambda icons: None)

    marks = importlib.import_module("MRISynthWidgets.synthetic_marks")
    assert marks._marks is None
    importlib.import_module("MRISynth").prepareSlicer()
    node = desk.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert all(node.GetLayoutDescription(layout.id) for layout in OWN_LAYOUTS)
    assert marks._marks is not None


def test_an_image_marked_by_its_name_alone_stays_marked_under_another(desk):
    importlib.import_module("MRISynthWidgets.synthetic_marks").mark_views()
    real = add_volume(desk, "t1_tse_tra")
    reloaded = add_volume(desk, "5: SYNTHETIC CE-T1w")
    desk.process()
    reloaded.SetName("contrast")
    from MRISynthLib.node_attributes import provenance_of

    assert provenance_of(reloaded).synthetic
    assert "lost in another program" in " ".join(provenance_of(reloaded).warnings)
    assert provenance_of(real) is None


@pytest.mark.parametrize("name", MODULES)
def test_what_is_renamed_changed_or_deleted_is_noticed_at_once(desk, jobs, name):
    node = add_volume(desk, "t1_tse_tra")
    panel = desk.open(name)
    desk.process()
    table = panel.ui.inputTable
    node.SetName("t2_tse_tra")  # in the Data module's tree, which has no event of the scene
    desk.process()
    assert table.item(0, 0).text() == "t2_tse_tra"
    assert "T2w" in table.cellWidget(0, 1).itemText(0)
    refreshed = []
    panel.refresh = lambda before=panel.refresh: (refreshed.append(True), before())
    desk.slicer.util.arrayFromVolume(node)[:] = 7
    desk.slicer.util.arrayFromVolumeModified(node)
    desk.process()
    assert refreshed
    desk.process()
    refreshed.clear()
    desk.process()
    assert not refreshed, "a refresh asks for the next one"
    import vtk

    remembered = vtk.vtkWeakReference()
    remembered.Set(node)
    desk.slicer.mrmlScene.RemoveNode(node)
    desk.process()
    del node
    assert remembered.Get() is None, "the memory of a deleted image is not given back"


@pytest.mark.parametrize(("name", "used"), (("MRISynth", "S"), ("MRISynthSegment", "G")))
def test_a_model_of_a_saved_scene_that_is_not_installed_is_named(desk, jobs, name, used):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open(name)
    remarks = panel.ui.remarksLabel
    panel.logic.getParameterNode().model = "npc-of-another-hospital"
    desk.process()
    assert not remarks.isHidden()
    assert remarks.text.startswith("The model npc-of-another-hospital, which was chosen")
    assert f"so {used} is used" in remarks.text
    panel.logic.getParameterNode().model = used
    desk.process()
    assert "installed" not in remarks.text
