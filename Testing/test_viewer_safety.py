"""Who may come in, and what may be brought: without a browser and without a scene."""

from __future__ import annotations

import asyncio
import io
import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="needs the browser part (pip install mrisynth[view])")

from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from MRISynthApp.viewer.access import POLICY, Access, is_loopback
from MRISynthApp.viewer.archives import NAME_LENGTH, safe_name, unpack
from MRISynthApp.viewer.limits import Limits
from MRISynthApp.viewer.reading import without_paths
from MRISynthApp.viewer.uploads import Uploads
from MRISynthLib.errors import InputError

BATCH = "0123456789abcdef"
ROOM = 10**9


# ------------------------------------------------------------------------------ coming in


def ask(steps, host: str = "127.0.0.1"):
    """Run ``steps(client, access)`` against a server that has Access and one page."""

    async def run():
        access = Access(host, "the-token")
        app = web.Application()
        access.guard(app)

        async def page(request: web.Request) -> web.Response:
            return web.Response(text="inside")

        app.add_routes([web.get("/", page), web.post("/", page), web.get("/ws", page)])
        async with TestClient(TestServer(app)) as client:
            access.listening_on(client.port)
            return await steps(client, access)

    return asyncio.run(run())


def test_nobody_comes_in_without_the_token_and_the_page_says_why():
    async def steps(client, access):
        for address in ("/", "/?token=wrong", "/?token="):
            answer = await client.get(address)
            assert answer.status == 403
            assert "terminal" in await answer.text()

    ask(steps)


def test_the_token_is_given_up_for_a_cookie_that_scripts_and_other_sites_cannot_use():
    async def steps(client, access):
        answer = await client.get("/?token=the-token", allow_redirects=False)
        assert answer.status == 303
        assert answer.headers["Location"] == "/"
        cookie = next(iter(answer.cookies.values()))
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        assert "the-token" not in cookie.value
        inside = await client.get("/")
        assert await inside.text() == "inside"
        assert inside.headers["Content-Security-Policy"] == POLICY

    ask(steps)


@pytest.mark.parametrize("path", ["//evil.example/", "/%0d%0aX:1"])
def test_the_token_leads_to_this_server_and_nowhere_else(path):
    async def steps(client, access):
        address = URL(f"{client.make_url('/')}{path[1:]}?token=the-token", encoded=True)
        answer = await client.session.get(address, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/")

    ask(steps)


def test_a_name_that_was_made_to_point_here_is_refused():
    async def steps(client, access):
        await client.get("/?token=the-token")
        for name in (
            "evil.example",
            "evil.example:80",
            "127.0.0.1.evil.example",
            "10.0.0.7",
            "[::1",
        ):
            answer = await client.get("/", headers={"Host": name})
            assert answer.status == 403, name
        assert (await client.get("/", headers={"Host": f"localhost:{client.port}"})).status == 200

    ask(steps)


def test_pages_of_other_sites_can_neither_send_nor_listen():
    async def steps(client, access):
        await client.get("/?token=the-token")
        ours = f"http://127.0.0.1:{client.port}"
        listening = {"Upgrade": "websocket", "Connection": "Upgrade"}
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{client.port + 1}"):
            assert (await client.post("/", headers={"Origin": origin})).status == 403
            answer = await client.get("/ws", headers={"Origin": origin, **listening})
            assert answer.status == 403
        assert (await client.post("/")).status == 403  # no browser leaves it out
        assert (await client.post("/", headers={"Origin": ours})).status == 200
        assert (await client.get("/ws", headers={"Origin": ours, **listening})).status == 200

    ask(steps)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1"])
def test_this_machine_alone(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "::", "hospital.example"])
def test_other_machines(host):
    assert not is_loopback(host)


def test_an_outside_address_lets_numbers_in_but_no_foreign_names():
    async def steps(client, access):
        await client.get("/?token=the-token")
        assert (await client.get("/", headers={"Host": "192.168.1.4:8765"})).status == 200
        assert (await client.get("/", headers={"Host": "evil.example"})).status == 403

    ask(steps, host="0.0.0.0")


# ---------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("t1.nii.gz", "t1.nii.gz"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/etc/shadow", "shadow"),
        ("C:\\x.dcm", "x.dcm"),
        ("..", "file"),
        ("", "file"),
        ("...hidden", "hidden"),
        ("a\0b\n.dcm", "a_b_.dcm"),
        ("<img src=x>.dcm", "_img src_x_.dcm"),
        ("NUL.nii", "_NUL.nii"),
        ("鼻咽癌.nii", "鼻咽癌.nii"),
    ],
)
def test_names_lose_what_could_harm(given, kept):
    assert safe_name(given) == kept


def test_long_names_keep_their_ending():
    name = safe_name("x" * 400 + ".nii.gz")
    assert len(name) == NAME_LENGTH
    assert name.endswith(".nii.gz")


# ------------------------------------------------------------------------------- archives


def archive(folder: Path, members: dict[str, bytes], name: str = "study.zip") -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for member, content in members.items():
            opened.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_DEFLATED)
    return path


def unpacked(path: Path, limits: Limits | None = None, room: int = ROOM) -> list[Path]:
    folder = path.parent / "out"
    folder.mkdir(exist_ok=True)
    try:
        unpack(path, folder, limits or Limits(), 0, room)
    finally:
        found = sorted(folder.iterdir())
    return found


def refused(path: Path, *words: str, **options) -> None:
    with pytest.raises(InputError) as error:
        unpacked(path, **options)
    for word in words:
        assert word in str(error.value)
    assert not list((path.parent / "out").iterdir()), "something of it stayed"


def test_an_archive_is_unpacked_under_numbers(tmp_path):
    path = archive(tmp_path, {"a/1.dcm": b"one", "b/1.dcm": b"two"})
    files = unpacked(path)
    assert [file.name for file in files] == ["00000_1.dcm", "00001_1.dcm"]
    assert [file.read_bytes() for file in files] == [b"one", b"two"]


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/../../evil", "C:/evil", "..\\evil"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    refused(archive(tmp_path, {"fine.dcm": b"1", name: b"2"}), "leads out")


def test_a_bomb_is_refused_by_its_ratio(tmp_path):
    path = archive(tmp_path, {"zeros": bytes(50 * 2**20)})
    assert path.stat().st_size < 100_000
    refused(path, "larger than is taken")


def test_a_bomb_is_refused_by_the_room_that_is_left(tmp_path):
    path = archive(tmp_path, {"noise": bytes(range(256)) * 8000})
    refused(path, "larger than is taken", room=1000)


def test_sizes_that_an_archive_claims_are_not_believed(tmp_path):
    path = archive(tmp_path, {"zeros": bytes(50 * 2**20)})
    content = bytearray(path.read_bytes())
    where = content.rindex(b"PK\x01\x02")
    content[where + 24 : where + 28] = struct.pack("<I", 10)  # the size when unpacked
    path.write_bytes(content)
    with pytest.raises(InputError):
        unpacked(path)
    assert sum(file.stat().st_size for file in (tmp_path / "out").iterdir()) == 0


def test_too_many_files_are_refused(tmp_path):
    path = archive(tmp_path, {f"{n}.dcm": b"" for n in range(20)})
    refused(path, "20 files", limits=Limits(upload_files=10))


def test_a_list_of_files_that_would_fill_the_memory_is_not_read(tmp_path):
    path = tmp_path / "long.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for number in range(150):
            info = zipfile.ZipInfo(f"{number}.dcm")
            info.extra = struct.pack("<HH", 0x9999, 60_000) + bytes(60_000)
            opened.writestr(info, b"")
    refused(path, "list of files that is too long")


def test_an_archive_in_an_archive_is_refused(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as opened:
        opened.writestr("x", b"x")
    refused(archive(tmp_path, {"inner.dcm": inner.getvalue()}), "another archive")


def test_links_are_refused(tmp_path):
    path = tmp_path / "link.zip"
    with zipfile.ZipFile(path, "w") as opened:
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, "/etc/passwd")
    refused(path, "link")


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_that_is_unpacked_in_one_piece_is_not_unpacked_at_all(tmp_path, packing):
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w", packing) as opened:
        opened.writestr("zeros", bytes(1000))
    refused(path, "unusual way")


@pytest.mark.parametrize(
    ("where", "content"),
    [(46, b"\xff"), (42, b"\xff\xff\xff\xff")],  # name, place in the archive
)
def test_archives_that_contradict_themselves_are_refused(tmp_path, where, content):
    path = archive(tmp_path, {"é.dcm": b"1"})
    changed = bytearray(path.read_bytes())
    at = changed.rindex(b"PK\x01\x02") + where
    changed[at : at + len(content)] = content
    path.write_bytes(changed)
    refused(path, "damaged")


def test_damaged_archives_are_refused(tmp_path):
    path = archive(tmp_path, {"a.dcm": bytes(range(256)) * 100})
    path.write_bytes(path.read_bytes()[:200])
    refused(path, "damaged")


# -------------------------------------------------------------------------------- uploads


def sent(uploads: Uploads, *files: tuple[str, bytes], batch: str = BATCH) -> None:
    async def run():
        for name, content in files:
            stream = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**24)
            stream.feed_data(content)
            stream.feed_eof()
            await uploads.receive(batch, name, stream)

    asyncio.run(run())


def test_files_come_into_a_private_folder_under_numbers(tmp_path):
    uploads = Uploads(tmp_path, Limits())
    sent(uploads, ("../../a.dcm", b"1"), ("a.dcm", b"22"))
    folder = tmp_path / BATCH
    assert sorted(file.name for file in folder.iterdir()) == ["00000_a.dcm", "00001_a.dcm"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (uploads.files, uploads.taken) == (2, 3)


def test_more_than_may_be_brought_is_refused_and_does_not_stay(tmp_path):
    uploads = Uploads(tmp_path, Limits(upload_bytes=2**20))
    with pytest.raises(InputError, match="1 MB"):
        sent(uploads, ("large.nii", bytes(2**20 + 1)))
    assert not list((tmp_path / BATCH).iterdir())
    sent(uploads, ("small.nii", b"fits"))


def test_too_many_files_one_by_one_are_refused(tmp_path):
    uploads = Uploads(tmp_path, Limits(upload_files=2))
    with pytest.raises(InputError, match="More than 2 files"):
        sent(uploads, *((f"{n}.dcm", b"1") for n in range(3)))


def test_what_is_gone_or_was_refused_makes_room(tmp_path):
    uploads = Uploads(tmp_path, Limits(upload_files=2))
    sent(uploads, ("a.dcm", b"1"), ("b.dcm", b"22"))
    other = BATCH[::-1]
    with pytest.raises(InputError, match="Start anew"):
        sent(uploads, ("c.dcm", b"1"), batch=other)
    shutil.rmtree(tmp_path / BATCH)
    sent(uploads, ("c.dcm", b"333"), batch=other)
    assert (uploads.files, uploads.taken) == (1, 3)
    uploads.discard(other, "why")
    assert (uploads.files, uploads.taken) == (0, 0)


def test_nothing_stays_of_what_was_refused_in_part(tmp_path):
    uploads = Uploads(tmp_path, Limits())
    sent(uploads, ("a.dcm", b"1"))
    uploads.discard(BATCH, "One of them was too large.")
    with pytest.raises(InputError, match="too large"):
        sent(uploads, ("b.dcm", b"22"))  # was on its way meanwhile
    assert not list(tmp_path.iterdir())
    assert (uploads.files, uploads.taken) == (0, 0)


@pytest.mark.parametrize("batch", ["..", "../x", "", "0123456789abcdeg", f"{BATCH}/.."])
def test_a_page_cannot_choose_the_folder(tmp_path, batch):
    with pytest.raises(InputError):
        sent(Uploads(tmp_path / "in", Limits()), ("a.dcm", b"1"), batch=batch)
    assert not list(tmp_path.iterdir())


def test_what_a_mac_leaves_beside_images_is_not_taken_for_images(tmp_path):
    members = {"a/t1.nii.gz": b"1", "__MACOSX/a/._t1.nii.gz": b"2", "a/.DS_Store": b"3"}
    path = archive(tmp_path, members)
    uploads = Uploads(tmp_path, Limits())
    sent(uploads, ("._t2.nii.gz", b"4"), (".DS_Store", b"5"), ("study.zip", path.read_bytes()))
    assert [file.name for file in (tmp_path / BATCH).iterdir()] == ["00001_t1.nii.gz"]
    assert (uploads.files, uploads.taken) == (1, 1)


def test_an_archive_counts_with_what_is_in_it(tmp_path):
    path = archive(tmp_path, {"a/x.dcm": b"12345", "b/x.dcm": b"678"})
    uploads = Uploads(tmp_path, Limits())
    sent(uploads, ("first.dcm", b"1"), ("study.zip", path.read_bytes()))
    assert uploads.taken == 9
    names = sorted(file.name for file in (tmp_path / BATCH).iterdir())
    assert names == ["00000_first.dcm", "00002_x.dcm", "00003_x.dcm"]


def test_messages_tell_nothing_about_this_machine(tmp_path):
    cleaned = without_paths(tmp_path)
    text = f"{tmp_path}/{BATCH}/00003_t1.nii.gz is empty; export or copy it again."
    assert cleaned(text) == "t1.nii.gz is empty; export or copy it again."
    text = f"The folder {tmp_path}/{BATCH} holds no image; give another."
    assert cleaned(text) == "What you sent holds no image; give another."
