import errno
import functools
import hashlib
import http.client
import http.server
import io
import threading
import time
import zipfile
from dataclasses import dataclass, field

import pytest
from huggingface_hub import hf_hub_download

from facezoo.datatools import download
from facezoo.datatools.download import WIDERFACE, Archive, download_widerface, fetch, unpack
from facezoo.errors import DataError

MEMBERS = {"box/a.txt": b"one", "box/deep/b.bin": bytes(range(256)) * 900, "readme.txt": b"no"}


def zipped(members=MEMBERS):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as content:
        for name, data in members.items():
            content.writestr(name, data)
    return buffer.getvalue()


@dataclass
class Server:
    """What a server answers, and what it was asked for."""

    address: str = ""
    body: bytes = b""
    stated: int | None = None
    stop_after: int | None = None
    status: int = 200
    asked: list = field(default_factory=list)

    def archive(self, sha256=None):
        return Archive("box", sha256, self.address)


@pytest.fixture
def server(monkeypatch):
    state = Server(body=zipped())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            state.asked.append(self.path)
            if state.status != 200:
                return self.send_error(state.status)
            self.send_response(200)
            self.send_header("Content-Length", str(state.stated or len(state.body)))
            self.send_header("ETag", f'"{sha256(state.body)}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            if state.status == 200:
                self.wfile.write(state.body[: state.stop_after])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as service:
        state.address = f"http://127.0.0.1:{service.server_port}"
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        here = functools.partial(hf_hub_download, endpoint=state.address)
        monkeypatch.setattr(download, "hf_hub_download", here)
        yield state
        service.shutdown()
        thread.join()


def refuse(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def contents(root):
    found = {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


WANTED = {name: data for name, data in MEMBERS.items() if name.startswith("box/")}


@pytest.mark.parametrize("known", [True, False])
def test_fetches_and_unpacks(server, tmp_path, known):
    root = tmp_path / "new" / "root"
    archive = server.archive(sha256(server.body) if known else None)
    download_widerface(root, [archive])
    assert contents(root) == WANTED
    download_widerface(root, [archive])
    assert server.asked == ["/box.zip"]


def test_fetches_from_the_hub(server, tmp_path):
    archive = Archive("box", sha256(server.body))
    download_widerface(tmp_path, [archive])
    assert contents(tmp_path) == WANTED
    assert set(server.asked) == {"/datasets/CUHK-CSE/wider_face/resolve/main/data/box.zip"}
    assert archive.url.endswith("huggingface.co" + server.asked[0])


def test_what_was_fetched_from_the_hub_is_not_fetched_again(server, tmp_path, monkeypatch):
    archive = Archive("box", sha256(server.body))
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extract", refuse)
        with pytest.raises(DataError, match="cannot be written"):
            download_widerface(tmp_path, [archive])
    server.body = b"another file" * 100
    server.status = 403
    download_widerface(tmp_path, [archive])
    assert contents(tmp_path) == WANTED


@pytest.mark.parametrize("on_hub", [True, False])
def test_half_an_archive_is_not_kept(server, tmp_path, on_hub, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    server.stop_after = 1000
    archive = Archive("box") if on_hub else server.archive()
    with pytest.raises(
        DataError, match=r"box\.zip cannot be fetched \(.*1.?000.*; try again later"
    ):
        download_widerface(tmp_path, [archive])
    assert not [path for path in tmp_path.rglob("*.zip")]
    server.stop_after = None
    download_widerface(tmp_path, [archive])
    assert contents(tmp_path) == WANTED


@pytest.mark.parametrize("known, said", [(True, "has sha256"), (False, "not a zip file")])
def test_wrong_file(server, tmp_path, known, said):
    archive = server.archive(sha256(server.body) if known else None)
    right, server.body = server.body, b"<html>Please log in</html>"
    with pytest.raises(DataError, match=f"What came from .*{said}.* removed"):
        download_widerface(tmp_path, [archive])
    assert contents(tmp_path) == {}
    server.body = right
    download_widerface(tmp_path, [archive])
    assert contents(tmp_path) == WANTED


def test_damaged_member(server, tmp_path):
    place = server.body.index(b"one")
    server.body = server.body[:place] + b"two" + server.body[place + 3 :]
    with pytest.raises(DataError, match=r"Bad CRC-32 for file 'box/a\.txt'"):
        download_widerface(tmp_path, [server.archive()])


def test_server_that_sends_more_than_it_promises(server, tmp_path):
    server.stated = 5000
    with pytest.raises(DataError, match="not a zip file"):
        download_widerface(tmp_path, [server.archive()])
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("on_hub", [True, False])
def test_server_that_refuses(server, tmp_path, on_hub):
    server.status = 404
    archive = Archive("box") if on_hub else server.archive()
    with pytest.raises(
        DataError, match=r"box\.zip cannot be fetched \(.*404.*; .* by hand"
    ) as error:
        download_widerface(tmp_path, [archive])
    assert f"put box.zip into {tmp_path} by hand" in str(error.value)


@pytest.mark.parametrize("on_hub", [True, False])
def test_server_that_is_not_there(tmp_path, on_hub, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    nowhere = "http://127.0.0.1:9"
    monkeypatch.setattr(
        download, "hf_hub_download", functools.partial(hf_hub_download, endpoint=nowhere)
    )
    with pytest.raises(DataError, match=r"cannot be fetched \(.*Connection refused") as error:
        download_widerface(tmp_path, [Archive("box", site=None if on_hub else nowhere)])
    assert "\n" not in str(error.value)


def test_silent_server_is_given_up(server, tmp_path, monkeypatch):
    class Silent(http.client.HTTPResponse):
        def read(self, *_):
            raise TimeoutError("timed out")

    monkeypatch.setattr(http.client.HTTPConnection, "response_class", Silent)
    with pytest.raises(DataError, match=r"cannot be fetched \(timed out\)"):
        fetch(server.archive(), tmp_path)


def test_own_archive_is_used_and_kept(server, tmp_path):
    (tmp_path / "box.zip").write_bytes(server.body)
    download_widerface(tmp_path, [server.archive(sha256(server.body))])
    assert contents(tmp_path) == {**WANTED, "box.zip": server.body}
    assert server.asked == []


def test_own_wrong_archive_is_kept(server, tmp_path):
    (tmp_path / "box.zip").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"box\.zip is not the right .*has sha256 .*; remove it"):
        download_widerface(tmp_path, [server.archive(sha256(server.body))])
    assert contents(tmp_path) == {"box.zip": b"mine"} and server.asked == []


def test_disk_that_runs_full(server, tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile.ZipFile, "extract", refuse)
    with pytest.raises(DataError, match=r"\(No space left on device\); make room"):
        download_widerface(tmp_path, [server.archive()])
    assert not (tmp_path / "box").exists() and not list(tmp_path.glob("*.unpacking"))
    monkeypatch.setattr(download, "hf_hub_download", refuse)
    with pytest.raises(DataError, match=r"\(No space left on device\); make room"):
        download_widerface(tmp_path, [Archive("box")])


def test_root_that_is_a_file(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file.* cannot be written"):
        download_widerface(tmp_path / "file", [server.archive()])


@pytest.mark.parametrize("name", ["../evil.txt", "box/../../evil.txt", "/evil.txt", "C:/evil.txt"])
def test_nothing_is_written_outside(tmp_path, name):
    path, root = tmp_path / "a.zip", tmp_path / "root"
    path.write_bytes(zipped({"box/fine.txt": b"", name: b""}))
    with pytest.raises(DataError, match=r"outside its folder"):
        unpack(path, "box", root)
    assert set(contents(tmp_path)) == {"a.zip"}


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("box/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as content:
        content.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="box/link"):
        unpack(tmp_path / "a.zip", "box", tmp_path)


def test_archive_of_something_else(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"other/a.txt": b""}))
    with pytest.raises(DataError, match="has no folder box"):
        unpack(tmp_path / "a.zip", "box", tmp_path)


def test_half_unpacked_archive_starts_anew(tmp_path):
    (tmp_path / ".box.unpacking" / "box").mkdir(parents=True)
    (tmp_path / ".box.unpacking" / "box" / "stale.txt").write_text("")
    (tmp_path / "a.zip").write_bytes(zipped())
    unpack(tmp_path / "a.zip", "box", tmp_path)
    assert set(contents(tmp_path / "box")) == {"a.txt", "deep/b.bin"}


def test_table_names_what_the_data_set_reads():
    folders = {archive.folder for archive in WIDERFACE}
    assert folders == {"WIDER_train", "WIDER_val", "wider_face_split", "eval_tools"}
    assert all(archive.url.endswith(f"/{archive.folder}.zip") for archive in WIDERFACE)
    assert all(len(archive.sha256 or "0" * 64) == 64 for archive in WIDERFACE)
