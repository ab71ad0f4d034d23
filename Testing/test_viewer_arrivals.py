"""Images on their way to the desk: several at once, damaged ones, without a page."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

pytest.importorskip("trame_slicer", reason="needs the browser part (pip install mrisynth[view])")

from fakes import head
from MRISynthApp.viewer import arrivals
from MRISynthApp.viewer.arrivals import Arrivals
from MRISynthApp.viewer.desk import Desk
from MRISynthApp.viewer.limits import MIB
from MRISynthLib import io, panel
from MRISynthLib.errors import MRISynthError


class FakeVisit:
    """Keeps what would be on the page."""

    busy = False

    def __init__(self, folder):
        self.state = SimpleNamespace(loading=False, uploading="", flush=lambda: None)
        self.desk = Desk(panel.first_model("synthesis"), panel.first_model("segmentation"))
        self.sights = SimpleNamespace(take_in=lambda keys: None)
        self.said, self.work = [], []
        folder.mkdir()
        self.arrivals = Arrivals(self, folder, MIB)

    def refresh(self):
        pass

    def say(self, text, kind="info"):
        self.said.append(text)

    def spawn(self, work):
        async def guarded():
            try:
                await work
            except MRISynthError as error:
                self.say(self.arrivals.without_paths(str(error)))

        self.work.append(asyncio.get_running_loop().create_task(guarded()))


def sent(visit, folder, number):
    batch = folder / f"{number:016x}"
    batch.mkdir()
    io.save(head(number, (8, 32, 28), sequence="T1w"), batch / f"0000{number}_t1.nii.gz")
    visit.arrivals.on_uploaded(batch.name)


def test_while_one_of_two_is_still_being_read_the_page_says_so(tmp_path, monkeypatch):
    last = threading.Event()

    def read_sent(folder, allowed):
        if folder.name.endswith("2"):
            assert last.wait(20)
        return original(folder, allowed)

    original = arrivals.read_sent
    monkeypatch.setattr(arrivals, "read_sent", read_sent)

    async def run():
        folder = tmp_path / "uploads"
        visit = FakeVisit(folder)
        sent(visit, folder, 1)
        sent(visit, folder, 2)
        await visit.work[0]
        assert len(visit.desk.images) == 1
        assert visit.state.loading and visit.state.uploading
        last.set()
        await visit.work[1]
        assert len(visit.desk.images) == 2
        assert not visit.state.loading and not visit.state.uploading

    asyncio.run(run())


@pytest.mark.parametrize("whole", [True, False])
def test_the_page_does_not_tell_where_the_server_s_files_are(tmp_path, whole):
    study = tmp_path / "hospital" / "study"
    study.mkdir(parents=True)
    (study / "broken.nii.gz").write_bytes(b"broken")
    if whole:
        io.save(head(1, (8, 32, 28), sequence="T1w"), study / "t1.nii.gz")

    async def run(*files):
        visit = FakeVisit(tmp_path / f"uploads{len(files)}")
        visit.arrivals.load_at_start(files)
        await asyncio.gather(*visit.work)
        assert "broken.nii.gz is" in " ".join(visit.said)
        assert str(tmp_path) not in " ".join(visit.said)
        assert "hospital" not in " ".join(visit.said)

    asyncio.run(run(study))
    if not whole:
        asyncio.run(run(study / "broken.nii.gz", study / "broken.nii.gz"))
