"""The Qt test host fails where Slicer would, or would silently do nothing."""

from __future__ import annotations

import functools

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6-Essentials")

UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>Panel</class>
 <widget class="qMRMLWidget" name="Panel">
  <layout class="QVBoxLayout">
   <item><widget class="{cls}" name="number">
    <property name="{key}"><double>2</double></property>
    <property name="SlicerParameterName" stdset="0"><string>size</string></property>
   </widget></item>
   <item><widget class="qMRMLNodeComboBox" name="selector"/></item>
  </layout>
 </widget>
 <connections><connection>
  <sender>Panel</sender><signal>{signal}</signal>
  <receiver>selector</receiver><slot>{slot}</slot>
 </connection></connections>
</ui>
"""
GOOD = {
    "cls": "ctkSliderWidget",
    "key": "value",
    "signal": "mrmlSceneChanged(vtkMRMLScene*)",
    "slot": "setMRMLScene(vtkMRMLScene*)",
}


def load(desk, tmp_path, **changed):
    path = tmp_path / "Panel.ui"
    path.write_text(UI.format(**(GOOD | changed)), encoding="utf-8")
    return desk.slicer.util.loadUI(str(path))


def test_ui_file_is_loaded_and_connected(desk, tmp_path):
    panel = load(desk, tmp_path)
    ui = desk.slicer.util.childWidgetVariables(panel)
    assert type(ui.number) is desk.ctk.ctkSliderWidget and ui.number.value == 2
    assert ui.number.property("SlicerParameterName") == "size"
    panel.setMRMLScene(desk.slicer.mrmlScene)
    assert ui.selector.mrmlScene() is desk.slicer.mrmlScene


@pytest.mark.parametrize(
    "wrong",
    (
        {"cls": "ctkSlideWidget"},
        {"key": "valeu"},
        {"signal": "sceneChanged(vtkMRMLScene*)"},
        {"slot": "setScene(vtkMRMLScene*)"},
    ),
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_a_ui_file_misspells_fails(desk, tmp_path, wrong):
    with pytest.raises((RuntimeError, AttributeError), match=next(iter(wrong.values()))[:6]):
        load(desk, tmp_path, **wrong)


def test_properties_are_attributes_and_nothing_else_can_be_set(desk):
    label, table = desk.qt.QLabel("a"), desk.qt.QTableWidget()
    label.text = "b"
    table.setRowCount(3)
    assert label.text == "b" and table.rowCount == 3
    with pytest.raises(TypeError, match="not callable"):
        label.text()
    for wrong in (
        lambda: label.txt,
        lambda: setattr(label, "txt", "c"),
        lambda: setattr(label, "setText", "c"),
        lambda: setattr(label, "pos_", 1),
        lambda: desk.qt.QLabel.AlignNowhere,
        lambda: desk.qt.QLable,
        lambda: desk.ctk.ctkFancyWidget,
    ):
        with pytest.raises(AttributeError):
            wrong()
    with pytest.raises(ValueError, match="setRowCount"):
        table.setRowCount("three")


def test_classes_derived_from_qts_have_no_objects_here(desk):
    derived = type("Derived", (desk.qt.QWidget,), {})
    with pytest.raises(TypeError, match="Derived"):
        derived()


def test_the_same_object_is_the_same_in_python(desk):
    table, item = desk.qt.QTableWidget(1, 1), desk.qt.QTableWidgetItem("a")
    table.setItem(0, 0, item)
    assert table.item(0, 0) is item and isinstance(table, desk.qt.QAbstractItemView)


class Receiver:
    def __init__(self):
        self.got = []

    def nothing(self):
        self.got.append(())

    def one(self, first):
        self.got.append((first,))

    def defaulted(self, first, second="default"):
        self.got.append((first, second))

    def all(self, *arguments):
        self.got.append(arguments)


def test_slots_get_as_many_arguments_as_pythonqt_gives(desk):
    """PythonQt counts parameters with a default too: a lambda's ``key=key`` would be taken."""
    for method, expected in (
        ("nothing", ()),
        ("one", (True,)),
        ("defaulted", (True, "default")),
        ("all", (True,)),
    ):
        receiver, box = Receiver(), desk.qt.QCheckBox()
        box.connect("toggled(bool)", getattr(receiver, method))
        box.checked = True
        assert receiver.got == [expected]
    got, box = [], desk.qt.QCheckBox()
    box.connect("toggled(bool)", lambda key="mine": got.append(key))
    box.connect("toggled(bool)", functools.partial(got.append))
    box.checked = True
    assert got == [True, True]


def test_a_signal_is_connected_once_and_disconnected(desk):
    receiver, line = Receiver(), desk.qt.QLineEdit()
    line.textChanged.connect(receiver.one)
    line.text = "a"
    assert line.disconnect("textChanged(QString)", receiver.one)
    line.text = "b"
    blocked = line.blockSignals(True)
    assert not blocked and receiver.got == [("a",)]
    with pytest.raises(AttributeError, match="clickd"):
        line.connect("clickd()", receiver.nothing)


def test_an_error_in_a_slot_is_found_though_the_caller_does_not_see_it(desk):
    button = desk.qt.QPushButton()
    button.connect("clicked()", lambda: 1 / 0)
    button.click()
    with pytest.raises(ZeroDivisionError):
        desk.process()
    button.enabled = False
    with pytest.raises(AssertionError, match="disabled"):
        button.click()


def test_time_passes_when_the_test_says_so(desk):
    got, timer = [], desk.qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(100_000)
    timer.connect("timeout()", lambda: got.append("timer"))
    timer.start()
    desk.qt.QTimer.singleShot(100_000, lambda: got.append("later"))
    assert not got
    desk.process()
    assert sorted(got) == ["later", "timer"] and not timer.isActive()


def test_node_selector_follows_the_scene(desk):
    box, scene = desk.slicer.qMRMLNodeComboBox(), desk.slicer.mrmlScene
    chosen = []
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.showChildNodeTypes = False
    box.connect("currentNodeChanged(vtkMRMLNode*)", chosen.append)
    box.setMRMLScene(scene)
    assert box.currentNode() is None
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "a")
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "b")
    assert box.nodeCount() == 1 and box.currentNode() is node and chosen == [node]
    scene.RemoveNode(node)
    assert box.currentNode() is None and chosen == [node, None]


def test_slicers_own_files_are_used_where_its_source_is_named(desk):
    from qt_host.slicer_source import VARIABLE, source_folder

    folder = source_folder()
    if folder is None:
        pytest.skip(f"needs a checkout of Slicer's source (set {VARIABLE} to its folder)")
    import slicer

    for name in ("ScriptedLoadableModule", "parameterNodeWrapper"):
        assert getattr(slicer, name).__file__.startswith(str(folder))
    panel = desk.open("MRISynth")
    assert type(panel).__mro__[2].__module__ == "slicer.ScriptedLoadableModule"
    assert panel._parameterNode.isCached("prompt")
