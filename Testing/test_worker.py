"""The worker: results, cancelling, crashes, and what is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from fakes import METADATA, head, volume
from MRISynthLib.errors import BundleError, Cancelled, InputError, OutputError, WorkerError
from MRISynthLib.progress import Progress, SliceReady
from MRISynthLib.provenance import Provenance
from MRISynthLib.worker import Accepted, Done, Failed, WorkerClient, messages, serve, shared
from MRISynthSegmentLib.task import segmentation_from

TASKS = ("fakes",)
SHARED_MEMORY = Path("/dev/shm")
posix_only = pytest.mark.skipif(os.name == "nt", reason="signals and names as on POSIX")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="lists /dev/shm")


def left_behind(pid: int | None = None) -> list[str]:
    """Blocks that a process (this one by default) made and that still exist."""
    start = f"mrs{pid or os.getpid():x}-"
    return [path.name for path in SHARED_MEMORY.iterdir() if path.name.startswith(start)]


def wait_for(condition, seconds: float = 20.0):
    """Until the condition holds; fails if it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail("waited in vain")


@pytest.fixture(scope="module")
def client():
    with WorkerClient(device="cpu", tasks=TASKS) as client:
        yield client
    if sys.platform == "linux":
        assert left_behind() == []


def running(client: WorkerClient, task: str):
    """A job of which the work itself has begun."""
    begun = []
    job = client.submit(task, {}, [volume()], lambda e: begun.append(isinstance(e, Progress)))
    wait_for(lambda: job.poll() and any(begun))
    return job


def test_volumes_come_back_as_they_went(client) -> None:
    made = Provenance(True, sequence="STIR", inputs=({"sequence": "T1w", "name": "a"},), seed=3)
    sent = [
        volume(1, acquisition={"EchoTime": 8.5, "ImageType": ["ORIGINAL", "PRIMARY"]}),
        volume(2, provenance=made, warnings=("A slice is missing.",), sequence=None),
        volume(3).replace(voxels=volume(3).voxels[::-1, :, ::2].astype(np.int16)),
    ]
    result = client.submit("echo", {"prompt": "增强T1"}, sent).wait(30)
    assert result.info["parameters"] == {"prompt": "增强T1"}
    assert [name for name, _ in result.volumes] == ["echo0", "echo1", "echo2"]
    for before, (_, after) in zip(sent, result.volumes, strict=True):
        assert after.voxels.dtype == before.voxels.dtype
        np.testing.assert_array_equal(after.voxels, before.voxels)
        np.testing.assert_array_equal(after.index_to_world, before.index_to_world)
        assert (after.sequence, after.name) == (before.sequence, before.name)
        assert dict(after.acquisition) == dict(before.acquisition)
        assert after.provenance == before.provenance
        assert after.warnings == before.warnings


def test_events_come_in_order_with_the_finished_slices(client) -> None:
    events = []
    sent = volume()
    client.submit("echo", {}, [sent], events.append).wait(30)
    kinds = [type(event) for event in events]
    assert kinds == [Accepted, *[Progress, SliceReady] * 3, Done]
    assert events[1] == Progress("synthesize", 1, 3)
    np.testing.assert_array_equal(events[4].image, sent.voxels[1])


def test_slices_are_not_sent_to_a_face_that_does_not_want_them(client) -> None:
    events = []
    client.submit("echo", {}, [volume()], events.append, slices=False).wait(30)
    assert not any(isinstance(event, SliceReady) for event in events)


def test_a_gui_polls(client) -> None:
    job = client.submit("echo", {}, [volume()])
    events = []
    wait_for(lambda: events.extend(job.poll()) or job.done)
    events += job.poll()
    assert isinstance(events[-1], Done)
    assert job.result()["echo0"].name == "volume 0"


def test_a_warm_request_loads_nothing_again(client) -> None:
    first = client.submit("model", {"hash": "a"}).wait(30).info
    second = client.submit("model", {"hash": "a"}).wait(30).info
    assert second == first
    assert first["device"] == "cpu"
    assert client.submit("model", {"hash": "b"}).wait(30).info["loads"] == first["loads"] + 1


@linux_only
def test_windows_go_before_the_worker(client) -> None:
    client.submit("echo", {}, [volume()]).wait(30)
    here, worker = Path("/proc/self/autogroup"), Path(f"/proc/{client.pid}/autogroup")
    assert psutil.Process(client.pid).nice() == max(serve.NICENESS, psutil.Process().nice())
    weight = worker.read_text(encoding="ascii").split() if worker.exists() else []
    if weight:  # sessions are weighed first, and the worker has one of its own
        assert weight[0] not in here.read_text(encoding="ascii").split()
        assert int(weight[-1]) == serve.NICENESS


def test_who_moves_the_views_goes_first_and_the_work_goes_on(client) -> None:
    told = []
    job = client.submit("steps", {}, [], lambda event: told.append(time.monotonic()))

    def come(steps: int) -> list[float]:
        job.poll()
        told.clear()
        wait_for(lambda: job.poll() and len(told) >= steps)
        return list(told)

    come(3)
    client.give_way(600)
    time.sleep(2 * serve.LONGEST_PAUSE)  # what was under way has come
    first, *_, last = come(3)
    assert last - first > serve.LONGEST_PAUSE
    client.give_way(0)
    come(50)
    client.give_way(600)
    pid = client.pid
    job.cancel()
    with pytest.raises(Cancelled):
        job.wait(30)
    assert client.pid == pid, "it did not have to be killed"
    client.give_way(600)  # nobody works: it has no effect on the next job
    assert client.submit("echo", {}, [volume()]).wait(30).volumes


def test_jobs_run_one_after_the_other(client) -> None:
    jobs = [client.submit("echo", {"n": n}, [volume(n)]) for n in range(4)]
    assert [job.wait(30).info["parameters"]["n"] for job in jobs] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("task", "error", "words"),
    [
        ("refuse", BundleError, "not to be trusted; use another"),
        ("break", WorkerError, "KeyError"),
        ("exhaust", WorkerError, "memory did not suffice"),
        ("unheard of", WorkerError, "unheard of"),
    ],
)
def test_a_failure_is_one_sentence_of_its_kind(client, task, error, words) -> None:
    events = []
    with pytest.raises(error, match=words) as caught:
        client.submit(task, {}, [volume()], events.append).wait(30)
    assert type(caught.value) is error
    assert "Traceback" not in str(caught.value) and "\n" not in str(caught.value)
    assert events[-1] == Failed(str(caught.value), error.__name__)
    assert client.submit("echo", {}, [volume()]).wait(30).volumes


def test_the_details_of_a_failure_are_in_the_log(client, tmp_path) -> None:
    with pytest.raises(WorkerError):
        client.submit("break").wait(30)
    wait_for(lambda: "a key that is not there" in client.log())
    client.save_log(tmp_path / "log.txt")
    assert "Traceback" in (tmp_path / "log.txt").read_text(encoding="utf-8")
    with pytest.raises(OutputError):
        client.save_log(tmp_path / "no such folder" / "log.txt")


def test_stray_prints_do_not_reach_the_messages(client) -> None:
    assert client.submit("noisy").wait(30).info == {"said": ""}
    wait_for(lambda: "a stray print" in client.log() and "a stray native print" in client.log())


def test_cancelling_a_task_that_listens_keeps_the_worker(client) -> None:
    before = client.submit("model", {"hash": "c"}).wait(30).info["pid"]
    job = running(client, "polite")
    job.cancel()
    with pytest.raises(Cancelled):
        job.wait(30)
    assert client.submit("model", {"hash": "c"}).wait(30).info["pid"] == before


def test_cancelling_a_task_that_does_not_listen_takes_effect_all_the_same(client) -> None:
    job = running(client, "deaf")
    job.cancel()
    with pytest.raises(Cancelled):
        job.wait(30)  # The task itself would take ten minutes.
    assert client.submit("echo", {}, [volume()]).wait(30).volumes


def test_cancelling_a_waiting_job_leaves_the_running_one_alone(client) -> None:
    first = running(client, "polite")
    second = client.submit("echo", {}, [volume()])
    second.cancel()
    with pytest.raises(Cancelled):
        second.wait(5)
    assert not first.done
    first.cancel()
    with pytest.raises(Cancelled):
        first.wait(30)


def test_a_worker_that_ends_by_itself_is_reported_and_replaced(client) -> None:
    with pytest.raises(WorkerError, match=r"died while it was at 'register'.*code 7"):
        client.submit("die", {}, [volume()]).wait(30)
    assert client.submit("echo", {}, [volume()]).wait(30).volumes


@posix_only
def test_a_killed_worker_is_reported_and_the_waiting_job_still_done(client) -> None:
    job = running(client, "deaf")
    waiting = client.submit("echo", {}, [volume()])
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL"):
        job.wait(30)
    assert waiting.wait(30).volumes


@posix_only
def test_a_worker_killed_while_idle_is_replaced(client) -> None:
    client.submit("echo", {}, [volume()]).wait(30)
    os.kill(client.pid, signal.SIGKILL)
    assert client.submit("echo", {}, [volume()]).wait(30).volumes


@linux_only
def test_no_shared_memory_is_left_however_a_job_ends() -> None:
    with WorkerClient(device="cpu", tasks=TASKS) as client:
        job = running(client, "deaf")
        assert left_behind(), "the input should be in shared memory while the job runs"
        job.cancel()
        with pytest.raises(Cancelled):
            job.wait(30)
        assert left_behind() == []
        job = running(client, "deaf")
        os.kill(client.pid, signal.SIGKILL)
        with pytest.raises(WorkerError):
            job.wait(30)
        assert left_behind() == []
        for task in ("echo", "refuse", "die"):
            with contextlib.suppress(BundleError, WorkerError):
                client.submit(task, {}, [volume()]).wait(30)
            assert left_behind() == []
        job = running(client, "deaf")
    assert left_behind() == []
    with pytest.raises(Cancelled):
        job.wait(1)


CLIENT_SCRIPT = """
import sys, time
sys.path.insert(0, {folder!r})
from fakes import METADATA, head, volume
from MRISynthLib.progress import Progress
from MRISynthLib.worker import WorkerClient

client = WorkerClient(device="cpu", tasks=("fakes",))
job = client.submit("deaf", {{}}, [volume()])
while not any(isinstance(event, Progress) for event in job.poll()):
    time.sleep(0.01)
print(client.pid, flush=True)
time.sleep({rest})
"""


@linux_only
@pytest.mark.parametrize("ending", ["kill -9", "forgets to close"])
def test_the_worker_does_not_outlive_its_client(ending) -> None:
    rest = 600 if ending == "kill -9" else 0
    script = CLIENT_SCRIPT.format(folder=str(Path(__file__).parent), rest=rest)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    worker = int(process.stdout.readline())
    if ending == "kill -9":
        assert left_behind(process.pid)
        process.kill()
    _, complaints = process.communicate(timeout=30)
    wait_for(lambda: not psutil.pid_exists(worker) or _is_zombie(worker))
    assert left_behind(process.pid) == []
    assert complaints == ""


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def test_a_python_that_does_not_exist_is_named() -> None:
    with (
        WorkerClient(python="no-such-python", tasks=TASKS) as client,
        pytest.raises(WorkerError, match=r"no-such-python.*MRISYNTH_PYTHON"),
    ):
        client.submit("echo", {}, [volume()]).wait(30)


def test_a_worker_that_cannot_start_says_why() -> None:
    with (
        WorkerClient(tasks=("no_such_module",)) as client,
        pytest.raises(WorkerError, match=r"could not start.*no_such_module"),
    ):
        client.submit("echo", {}, [volume()]).wait(30)


def test_an_unknown_device_is_refused_before_anything_starts() -> None:
    with pytest.raises(InputError, match=r"gpu.*auto, cpu, cuda, mps"):
        WorkerClient(device="gpu")


def test_a_closed_client_takes_no_more_jobs() -> None:
    client = WorkerClient(tasks=TASKS)
    client.close()
    with pytest.raises(WorkerError, match="closed"):
        client.submit("echo")


def test_volumes_go_through_files_where_shared_memory_is_too_small(monkeypatch) -> None:
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared, "_create_in_memory", full)
    with WorkerClient(device="cpu", tasks=TASKS) as client:
        sent = volume()
        result = client.submit("echo", {}, [sent]).wait(30)
        np.testing.assert_array_equal(result["echo0"].voxels, sent.voxels)
    files = Path(shared._file_of("x")).parent.glob(f"mrs{os.getpid():x}-*.block")
    assert list(files) == []


@linux_only
def test_more_than_there_is_room_for_is_an_error_not_a_crash() -> None:
    with pytest.raises(WorkerError, match="no room"):
        shared.create(f"{shared.new_prefix()}1i0", 2**50)
    assert left_behind() == []


def test_messages_survive_the_pipe_and_its_sudden_end() -> None:
    import io

    sent = [
        (1, messages.Request("echo", {"a": 1}, [], "p", False)),
        (2, Failed("Straße; 增强", "InputError")),
        (3, SliceReady("CE-T1w", 4, np.arange(6, dtype=np.float32).reshape(2, 3))),
    ]
    frames = b"".join(messages.encode(*item) for item in sent)
    stream = io.BytesIO(frames)
    received = [messages.read(stream) for _ in range(4)]
    assert received[:2] == sent[:2]
    np.testing.assert_array_equal(received[2][1].image, sent[2][1].image)
    assert received[3] is None
    assert messages.read(io.BytesIO(frames[:20])) is None


NETWORKS = {
    "synthesis": {
        "_target_": "MRISynthLib.synthesis.direct_net.DirectNet",
        "widths": [8, 8, 16],
        "condition": 16,
    },
    "segmentation": {
        "_target_": "MRISynthSegmentLib.structure_net.StructureNet",
        "structures": 2,
        "features": [8, 8, 8, 8, 8, 8],
    },
}


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> dict[str, str]:
    """Bundles with the product's own networks, small and never trained."""
    from MRISynthLib.bundle_network import build_network
    from MRISynthLib.bundles import write_bundle

    folders = {}
    for task, definition in NETWORKS.items():
        folder = tmp_path_factory.mktemp("bundles") / task
        weights = build_network(definition, "here").state_dict()
        write_bundle(folder, METADATA[task], {"network_def": definition}, weights)
        folders[task] = str(folder)
    return folders


def test_the_products_own_tasks_run_in_the_worker(untrained) -> None:
    given = [head(1, sequence="T1w", name="a"), head(2, sequence="T2w", name="b")]
    wanted = {"targets": [{"sequence": "STIR", "prompt": "3T"}], "return_inputs": True}
    with WorkerClient(device="cpu") as client:
        parameters = {**wanted, "bundle": untrained["synthesis"]}
        first = client.submit("synthesis", parameters, given).wait(120)
        again = client.submit("synthesis", parameters, given).wait(120)
        assert [name for name, _ in first.volumes] == [
            "STIR",
            "STIR_uncertainty",
            "input_0",
            "input_1",
        ]
        assert first["STIR"].is_synthetic and first["STIR"].same_geometry(given[0])
        np.testing.assert_array_equal(first["STIR"].voxels, again["STIR"].voxels)
        assert first.info["timings"].keys() >= {"model", "register", "synthesize", "first_slice"}
        assert first.info["units"]["STIR"][0] == 1000
        with pytest.raises(InputError, match="FLAIR"):
            wrong = {**parameters, "targets": [{"sequence": "FLAIR"}]}
            client.submit("synthesis", wrong, given).wait(120)

        parameters = {"bundle": untrained["segmentation"], "structures": ["GTVp", "Brainstem"]}
        result = client.submit("segmentation", parameters, given).wait(120)
        segmentation = segmentation_from(result, given[0])
        assert list(segmentation.masks) == ["GTVp", "Brainstem"]
        assert segmentation.provenance is not None
        assert result.info["timings"].keys() >= {"model", "segment"}
