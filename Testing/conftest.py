"""Fixtures shared by all tests."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

from dataset_layouts import WRITERS, Person, person
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthLib.worker.serve import NICENESS, stand_back

AUTOGROUP = Path("/proc/self/autogroup")
"""How Linux weighs this session's programs against others'; empty where it does not."""

LONGEST_FIRST = (
    "test_panel_chain",
    "test_shipped_models",
    "test_viewer_chain",
    "test_label_maps",
    "test_viewer_browser",
    "test_registration",
    "test_training",
    "test_panel_segment_chain",
    "test_tumours",
    "test_simulation",
    "test_panel_review_numbers",
    "test_viewer_review",
    "test_viewer_trouble",
    "test_viewer_house",
)
"""Files that take minutes: begun first, so that none goes on alone on one core at the end."""

NICENESS_BEFORE = pytest.StashKey[str]()

# the same examples in every run: a change is judged by what it changes; and no limit on how long
# one takes, which says more about the machine
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_configure(config: pytest.Config) -> None:
    """Compute a little before the workers that tests start, not more: or they would get little
    of a processor on which other tests compute."""
    if not hasattr(config, "workerinput"):  # pytest-xdist's processes inherit it
        weight = AUTOGROUP.read_text(encoding="ascii").split() if AUTOGROUP.exists() else []
        if weight:
            config.stash[NICENESS_BEFORE] = weight[-1]
        stand_back(NICENESS - 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the terminal's other programs as they were."""
    if NICENESS_BEFORE in config.stash:
        with contextlib.suppress(OSError):
            AUTOGROUP.write_text(config.stash[NICENESS_BEFORE], encoding="ascii")


@pytest.fixture(autouse=True, scope="module")
def torch_threads() -> Iterator[None]:
    """A training run sets the number for its whole process, which others would inherit."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real scans used for evaluation only; absent on users' machines."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MRISYNTH_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip("needs the real test scans (set MRISYNTH_TEST_DATA to their folder)")
    return folder


@pytest.fixture
def small_volume() -> Volume:
    """A random oblique volume, 6 slices of 20 x 24."""
    angle = np.deg2rad(12)
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    voxels = np.random.default_rng(0).uniform(0, 900, (6, 20, 24)).astype(np.float32)
    matrix = matrix_from_parts((0.9, 0.9, 4.0), rotation, (-10.0, 22.0, -35.0))
    return Volume(voxels, matrix, sequence="T1w", name="T1w test")


@pytest.fixture(scope="session")
def patient():
    """The built-in simulated patient, made once."""
    from MRISynthLib.simulation import demo_patient

    return demo_patient()


@pytest.fixture(scope="session")
def people(patient) -> tuple[Person, Person]:
    """Two people with images and masks."""
    return person(patient), person(patient, 0.8)


@pytest.fixture(scope="session")
def folders(people, tmp_path_factory):
    """Kind -> folder with two patients in that layout; not to be changed."""
    root = tmp_path_factory.mktemp("datasets")
    for kind, write in WRITERS.items():
        for number, who in enumerate(people, start=1):
            write(root / kind, who, number)
    return {kind: root / kind for kind in WRITERS}


@pytest.fixture
def desk(monkeypatch, tmp_path_factory):
    """Both modules' panels on a real scene and real widgets; see ``qt_host.desk.Desk``."""
    pytest.importorskip("slicer", reason="needs slicer-core")
    pytest.importorskip("PySide6.QtWidgets", reason="needs PySide6-Essentials")
    from MRISynthApp.scene.headless import HeadlessScene
    from qt_host.desk import Desk, forget_modules
    from qt_host.slicer_source import source_folder

    before = set(sys.modules)
    with HeadlessScene() as headless:
        headless.slice_logic("Red")
        desk = Desk(headless, monkeypatch, tmp_path_factory.mktemp("settings"), source_folder())
        yield desk
        desk.close()
    forget_modules(before)


@pytest.fixture
def jobs(desk, monkeypatch):
    """Jobs that the panels submitted, in a list; the models are small ones without weights."""
    import panel_cases
    from MRISynthLib import bundles, worker

    submitted: list[panel_cases.FakeJob] = []
    lists = {"submitted": submitted, "background": []}
    client = type("Client", (panel_cases.FakeClient,), lists)
    monkeypatch.setattr(worker, "WorkerClient", client)
    monkeypatch.setattr(bundles, "find_bundles", lambda task=None: [panel_cases.MODELS[task]])
    return submitted


@pytest.fixture
def drawn(desk, jobs):
    """The panel of module MRISynthSegment, with a segmentation of two structures."""
    from panel_segment_cases import open_drawn

    return open_drawn(desk, jobs)


@pytest.fixture
def two(desk, jobs, drawn):
    """The same with a second segmentation, which is chosen to compare the first one with."""
    from panel_segment_cases import STEM, TUMOUR, second, shown_node

    first, parameters = shown_node(drawn), drawn.logic.getParameterNode()
    moved = np.roll(TUMOUR, 1, axis=2)
    parameters.compareWith = second(desk, drawn, jobs, GTVp=moved, Brainstem=STEM)
    parameters.segmentation = first
    desk.process()
    return drawn


@pytest.fixture
def asked(jobs):
    """What the panel asked of the worker by itself."""
    from MRISynthLib import worker

    return worker.WorkerClient.background
