"""One worker for all: turns, cancelling, leaving; with a worker that does what the test says."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("aiohttp", reason="needs the browser part (pip install mrisynth[view])")

from fakes import volume
from MRISynthApp.viewer.broker import GIVE_WAY_SECONDS, WAITING, Broker
from MRISynthLib.errors import Cancelled, WorkerError
from MRISynthLib.progress import Progress
from MRISynthLib.worker import TaskResult, shared
from MRISynthLib.worker.messages import Cancel, Done, Failed, Release, Request


class Job:
    def __init__(self, task, volumes):
        self.task, self.volumes = task, volumes
        self.outcome = None
        self.cancelled = False

    @property
    def done(self):
        return self.outcome is not None

    def poll(self):
        return []

    def cancel(self):
        self.cancelled = True
        self.outcome = Cancelled()

    def result(self):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Client:
    """In the place of WorkerClient: jobs end when the test says so."""

    def __init__(self):
        self.jobs = []
        self.gave_way = []

    def give_way(self, seconds):
        self.gave_way.append(seconds)

    def submit(self, task, parameters, volumes, *, slices):
        self.jobs.append(Job(task, volumes))
        return self.jobs[-1]

    def close(self):
        pass


class Bench:
    def __init__(self):
        self.client = Client()
        self.broker = Broker(self.client)
        self.heard = {}

    def ask(self, visitor, number, task="t", volumes=()):
        prefix = f"{shared.new_prefix()}{number}"
        headers = []
        for n, each in enumerate(volumes):
            block, header = shared.put(f"{prefix}i{n}", each)
            block.close()
            headers.append(header)
        self.send(visitor, number, Request(task, {}, headers, prefix))
        return prefix

    def send(self, visitor, number, message):
        tell = lambda n, m: self.heard.setdefault((visitor, n), []).append(m)  # noqa: E731
        self.broker.hear(visitor, number, message, tell)

    def last(self, visitor, number):
        return self.heard[visitor, number][-1]

    def finish(self, outcome=None):
        self.client.jobs[-1].outcome = outcome or TaskResult(info={"ok": 1})
        self.broker._step()
        self.broker._step()


def test_visitors_take_turns_whatever_one_asks_for():
    bench = Bench()
    for number in range(1, 4):
        bench.ask("greedy", number, f"greedy {number}")
    bench.ask("modest", 1, "modest 1")
    bench.broker._step()
    while not bench.client.jobs[-1].done:
        bench.finish()
    tasks = [job.task for job in bench.client.jobs]
    assert tasks == ["greedy 1", "modest 1", "greedy 2", "greedy 3"]


def test_a_visitor_is_worked_for_from_the_request_to_the_result():
    bench = Bench()
    assert not bench.broker.works_for("a")
    bench.ask("a", 1), bench.ask("b", 1)
    assert bench.broker.works_for("a") and bench.broker.works_for("b"), "before anything began"
    bench.broker._step()
    bench.finish()
    assert not bench.broker.works_for("a") and bench.broker.works_for("b")
    bench.finish()
    assert not bench.broker.works_for("b")


def test_who_waits_hears_how_many_come_first():
    bench = Bench()
    bench.ask("a", 1)
    bench.broker._step()
    bench.ask("b", 1)
    bench.ask("c", 1)
    assert bench.last("b", 1) == Progress(WAITING, 1, 0)
    assert bench.last("c", 1) == Progress(WAITING, 2, 0)
    bench.finish()
    assert bench.last("c", 1) == Progress(WAITING, 1, 0)


def test_volumes_arrive_and_come_back_and_leave_nothing_behind():
    bench = Bench()
    given = volume()
    prefix = bench.ask("a", 1, volumes=[given])
    bench.broker._step()
    (arrived,) = bench.client.jobs[0].volumes
    assert (arrived.voxels == given.voxels).all()
    bench.finish(TaskResult([("out", arrived)], {"n": 2}))
    done = bench.last("a", 1)
    assert isinstance(done, Done)
    assert done.info == {"n": 2}
    returned = shared.take(done.volumes[0][1])
    assert (returned.voxels == given.voxels).all()
    bench.send("a", 1, Release())
    assert not shared.free(f"{prefix}i0")
    assert not shared.free(f"{prefix}o0")


def test_the_worker_gives_way_to_views_that_are_moved_while_it_works():
    bench = Bench()
    bench.broker.give_way()
    assert not bench.client.gave_way
    bench.ask("a", 1)
    bench.broker._step()
    for _ in range(50):  # each picture asks
        bench.broker.give_way()
    assert bench.client.gave_way == [GIVE_WAY_SECONDS]


def test_cancelling_stops_the_running_job_and_forgets_a_waiting_one():
    bench = Bench()
    bench.ask("a", 1)
    bench.broker._step()
    bench.ask("b", 1)
    bench.send("b", 1, Cancel())
    assert bench.last("b", 1).kind == "Cancelled"
    bench.send("a", 1, Cancel())
    assert bench.client.jobs[0].cancelled
    bench.broker._step()
    assert bench.last("a", 1).kind == "Cancelled"
    assert len(bench.client.jobs) == 1


def test_one_visitor_cannot_cancel_what_another_asked_for():
    bench = Bench()
    bench.ask("a", 1)
    bench.broker._step()
    bench.send("b", 1, Cancel())
    assert not bench.client.jobs[0].cancelled


def test_leaving_cancels_the_work_and_frees_the_memory():
    bench = Bench()
    prefix = bench.ask("a", 1, volumes=[volume()])
    bench.ask("a", 2)
    bench.ask("b", 1, "of b")
    bench.broker._step()
    bench.broker.forget("a")
    assert bench.client.jobs[0].cancelled
    bench.broker._step()
    bench.broker._step()
    assert bench.client.jobs[-1].task == "of b"
    assert not shared.free(f"{prefix}o0")
    assert not shared.free(f"{prefix}i0")


def test_a_result_for_somebody_who_has_left_is_dropped():
    bench = Bench()
    prefix = bench.ask("a", 1)
    bench.broker._step()
    bench.broker.forget("a")
    bench.finish(TaskResult([("out", volume())]))
    assert not shared.free(f"{prefix}o0")


def test_a_worker_that_died_fails_one_job_and_the_next_goes_on():
    bench = Bench()
    bench.ask("a", 1)
    bench.ask("b", 1, "of b")
    bench.broker._step()
    bench.finish(WorkerError("The inference process died."))
    assert bench.last("a", 1) == Failed("The inference process died.", "WorkerError")
    assert bench.client.jobs[-1].task == "of b"


def test_the_broker_goes_on_after_trouble():
    async def run():
        bench = Bench()
        bench.broker.start()
        bench.ask("a", 1)
        while not bench.client.jobs:
            await asyncio.sleep(0.01)
        bench.client.jobs[0].poll = lambda: 1 / 0
        bench.ask("b", 1, "of b")
        while len(bench.client.jobs) < 2:
            await asyncio.sleep(0.01)
        await bench.broker.close()
        return bench.client.jobs[-1].task

    assert asyncio.run(asyncio.wait_for(run(), 30)) == "of b"
