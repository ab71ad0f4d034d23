"""The gateway with its visitors' real processes, asked as a browser would, but without one."""

from __future__ import annotations

import errno
import io
import os
import signal
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, Request, build_opener

import psutil
import pytest

pytest.importorskip("trame_slicer", reason="needs the browser part (pip install mrisynth[view])")

from MRISynthApp.viewer.access import HEADERS
from MRISynthApp.viewer.visitors import ACTS, ACTS_SECONDS
from viewer_host import House, until

BATCH = "0123456789abcdef"


class Guest:
    """Somebody with a browser of their own, so far as cookies go, who opens the address."""

    def __init__(self, house: House) -> None:
        self.base = house.base
        self._open = build_opener(HTTPCookieProcessor(CookieJar())).open
        self.status, url, self.body = self.ask(house.gateway.url)
        self.path = url.removeprefix(self.base)

    def ask(self, url: str, data: bytes | None = None, **headers: str):
        """(status, final address, body)."""
        url = url if url.startswith("http") else self.base + url
        if data is not None:
            headers.setdefault("Origin", self.base)
        try:
            answer = self._open(Request(url, data=data, headers=headers), timeout=120)
        except HTTPError as error:
            answer = error
        self.headers = answer.headers
        return answer.status, answer.geturl(), answer.read()


@pytest.fixture(scope="module")
def house():
    with House(visitors=2, leave_seconds=600) as opened:
        yield opened


@pytest.fixture(scope="module")
def guests(house):
    """Two people, each in a scene, and the paths of these."""
    both = [Guest(house), Guest(house)]
    return [(guest, guest.path) for guest in both]


def test_each_visitor_has_a_process_of_their_own(house, guests):
    first, second = house.visitors
    assert first.pid != second.pid
    assert first.folder != second.folder
    assert all(path.startswith("/v/") for _, path in guests)


def test_the_page_comes_from_this_server_alone(guests):
    guest, path = guests[0]
    status, _, page = guest.ask(path)
    assert status == 200
    assert b"<title>" in page
    assert b"http://" not in page
    assert b"https://" not in page


@pytest.mark.parametrize("part", ["", "__mrisynth/viewer.js", "nothing.js", "ws", "download/x/y"])
def test_every_answer_forbids_what_comes_from_elsewhere(guests, part):
    (guest, path), _ = guests
    guest.ask(path + part)
    for name, value in HEADERS.items():
        assert guest.headers[name] == value, name


def test_a_scene_is_its_owner_s_even_if_the_address_is_known(guests):
    (one, _), (_, path) = guests
    for address in (path, f"{path}index.html", f"{path}upload?batch={BATCH}&name=x"):
        status, _, body = one.ask(address)
        assert status == 410
        assert b"trame" not in body
    status, _, _ = one.ask(f"{path}upload?batch={BATCH}&name=x", b"mine")
    assert status == 410


def test_when_all_places_are_taken_the_page_says_so(house, guests):
    third = Guest(house)
    assert third.status == 503
    assert b"All places are taken: 2 visitors" in third.body
    assert b'http-equiv="refresh"' in third.body


def test_a_visitor_s_process_answers_the_gateway_only(house, guests):
    opener = build_opener()
    for headers in ({}, {"X-MRISynth-Secret": "guess"}):
        url = f"http://127.0.0.1:{house.visitors[0].port}/index.html"
        with pytest.raises(HTTPError, match="403"):
            opener.open(Request(url, headers=headers), timeout=60)


def test_what_is_sent_lies_in_the_visitor_s_own_folder(house, guests):
    (guest, path), _ = guests
    status, _, _ = guest.ask(f"{path}upload?batch={BATCH}&name=../../../t1.nii", b"abc")
    assert status == 200
    folder = house.visitors[0].folder
    assert [file.name for file in (folder / "uploads" / BATCH).iterdir()] == ["00000_t1.nii"]
    assert not list((house.visitors[1].folder / "uploads").iterdir())


def test_a_hostile_archive_is_answered_with_a_sentence_and_the_house_stands(guests):
    (guest, path), _ = guests
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("zeros", bytes(60 * 2**20))
    address = f"{path}upload?batch=fedcba9876543210&name=study.zip"
    status, _, body = guest.ask(address, bomb.getvalue())
    assert status == 413
    assert b"study.zip becomes larger than is taken" in body
    assert guest.ask(path)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "__mrisynth/../../gateway.py",
        "__mrisynth/..%2f..%2fgateway.py",
        "download/0123456789abcdef/..%2f..%2fuploads",
        "download/..%2f..%2f..%2fetc/passwd",
        f"uploads/{BATCH}/00000_t1.nii",
    ],
)
def test_no_path_of_this_machine_can_be_read(guests, path):
    guest, base = guests[0]
    status, _, body = guest.ask(base + path)
    assert status in (403, 404, 410)
    assert b"root:" not in body
    assert b"class Gateway" not in body
    assert body != b"abc"


def test_what_is_laid_ready_can_be_fetched_and_nothing_else(house, guests):
    (guest, path), _ = guests
    folder = house.visitors[0].folder / "downloads" / BATCH
    folder.mkdir()
    (folder / "scene.mrb").write_bytes(b"the scene")
    status, _, body = guest.ask(f"{path}download/{BATCH}/scene.mrb")
    assert (status, body) == (200, b"the scene")
    assert guest.ask(f"{path}download/{BATCH}/other.mrb")[0] == 404
    assert guests[1][0].ask(f"{path}download/{BATCH}/scene.mrb")[0] == 410


def test_a_scene_that_dies_takes_nobody_along_and_its_place_is_free(house, guests):
    (one, path), (other, other_path) = guests
    visitor, neighbour = house.visitors
    psutil.Process(visitor.pid).kill()
    until(lambda: visitor not in house.visitors, "the place is free")
    until(lambda: not visitor.folder.exists(), "the folder is gone")
    status, _, body = one.ask(path)
    assert status == 410
    assert b"This scene has ended" in body
    assert other.ask(other_path)[0] == 200
    assert psutil.pid_exists(neighbour.pid)
    assert Guest(house).path not in (path, other_path)


def test_when_the_only_visitor_has_left_the_next_one_can_come():
    with House(visitors=1, leave_seconds=600) as house:
        Guest(house)
        (first,) = house.visitors
        first._outgoing.put(None)  # as when the gateway has gone: the process leaves by itself
        until(lambda: not first.folder.exists() and not house.visitors, "the first one's end")
        next_one = Guest(house)
        assert next_one.ask(next_one.path)[0] == 200


def test_who_scrolls_is_told_from_who_presses_a_button():
    with House(visitors=1, leave_seconds=60, idle_seconds=600, start_seconds=60) as house:
        assert Guest(house).status == 200
        (visitor,) = house.visitors
        for _ in range(ACTS - 1):
            visitor.touch()
            assert not visitor.moving
        visitor.touch()
        assert visitor.moving
        time.sleep(ACTS_SECONDS)
        visitor.touch()
        assert not visitor.moving


def test_who_leaves_or_idles_is_ended_with_folder_and_process():
    with House(visitors=2, leave_seconds=0.4, idle_seconds=600, start_seconds=60) as house:
        assert Guest(house).status == 200
        (visitor,) = house.visitors
        visitor.left_at = visitor.awaited_until = 0.0  # as after the websocket's end
        until(lambda: not house.visitors, "the visitor has left")
        until(lambda: not psutil.pid_exists(visitor.pid), "the process has ended")
        until(lambda: not visitor.folder.exists(), "the folder is gone")
        assert Guest(house).status == 200
        (visitor,) = house.visitors
        visitor.left_at, visitor.active_at = None, -1e9
        until(lambda: not house.visitors, "the idle one is ended")
        assert Guest(house).status == 200
        (visitor,) = house.visitors
    assert not visitor.folder.exists(), "the last one's goes with the house"


def test_who_only_looks_at_the_address_keeps_no_place():
    with House(visitors=1, leave_seconds=0.4, page_seconds=2) as house:
        guest = Guest(house)
        assert guest.ask(guest.path)[0] == 200
        until(lambda: not house.visitors, "the place is free again", 20)


def test_who_waits_for_a_result_is_not_idle(monkeypatch):
    with House(visitors=1, leave_seconds=0.4, idle_seconds=600, start_seconds=60) as house:
        waiting = True
        broker = house.gateway.visitors._broker
        monkeypatch.setattr(broker, "works_for", lambda visitor: waiting)
        assert Guest(house).status == 200
        (visitor,) = house.visitors
        visitor.left_at, visitor.active_at = None, -1e9
        until(lambda: visitor.active_at > 0, "the watch has looked round")
        assert house.visitors == [visitor]
        waiting = False
        visitor.active_at = -1e9
        until(lambda: not house.visitors, "the idle one is ended")


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a system that stops processes")
def test_who_reloads_a_scene_that_is_busy_does_not_lose_it():
    with House(visitors=1, leave_seconds=0.4) as house:
        guest = Guest(house)
        (visitor,) = house.visitors
        os.kill(visitor.pid, signal.SIGSTOP)  # as when it writes a large file
        try:
            visitor.awaited_until = 0.0
            with ThreadPoolExecutor(1) as pool:
                page = pool.submit(guest.ask, guest.path)
                until(lambda: visitor.awaited_until, "the page is asked for")
                visitor.left_at = time.monotonic()  # the old page's end is heard of
                time.sleep(1.5)
                os.kill(visitor.pid, signal.SIGCONT)
                assert page.result()[0] == 200
        finally:
            if psutil.pid_exists(visitor.pid):
                os.kill(visitor.pid, signal.SIGCONT)
        assert house.visitors == [visitor]


def test_scenes_end_although_no_new_one_can_be_made(monkeypatch):
    with House(visitors=2, leave_seconds=0.4) as house:
        guests = [Guest(house), Guest(house)]
        visitors = house.visitors

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(house.gateway.visitors, "_make", full)
        for visitor in visitors:
            visitor.left_at = visitor.awaited_until = 0.0
            until(lambda who=visitor: who not in house.visitors, "the end of the scene")
        status, _, body = guests[0].ask("/")
        assert status == 500
        assert b"no room for it (No space left on device)" in body
