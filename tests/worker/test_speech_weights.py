import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.errors import ModelError, UnavailableError
from worker import whisper_weights
from worker.whisper_weights import fetch

DATA = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(DATA).hexdigest()


@dataclass
class Store:
    """A server on the loopback with one checkpoint."""

    data: bytes = DATA
    #: bytes after which the connection is broken off; None sends all
    breaks_after: int | None = None
    ranges: bool = True
    status: int | None = None
    #: the Range header of each request
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def table(self, sha256: str = SHA256) -> dict[str, str]:
        return {"tiny": f"{self.url}/models/{sha256}/tiny.pt"}


class _Handler(BaseHTTPRequestHandler):
    store: Store

    def do_GET(self) -> None:
        store, asked = self.store, self.headers["Range"]
        store.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and store.ranges else 0
        status = store.status or (206 if start else 200)
        if start >= len(store.data):
            status = 416
        body = store.data[start:] if status in (200, 206) else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: store.breaks_after])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(whisper_weights, "_PATIENCE", 20.0)
    served = Store()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": served}))
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


def get(store: Store, folder: Path, sha256: str = SHA256) -> tuple[Path, list[tuple[int, int | None]]]:
    reported: list[tuple[int, int | None]] = []
    path, digest = fetch(
        "tiny", folder=folder, on_progress=lambda *done: reported.append(done), table=store.table(sha256)
    )
    assert digest == sha256
    return path, reported


def test_a_checkpoint_is_fetched_once_and_reported(store: Store, tmp_path: Path) -> None:
    path, reported = get(store, tmp_path)
    assert path == tmp_path / SHA256 / "tiny.pt"
    assert path.read_bytes() == DATA
    assert reported[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)
    assert {total for _, total in reported} == {len(DATA)}
    assert get(store, tmp_path)[0] == path
    assert store.asked == [None]


def test_a_download_goes_on_where_it_stopped(store: Store, tmp_path: Path) -> None:
    store.breaks_after = 3_000_000
    with pytest.raises(UnavailableError, match=r"Whisper tiny could not be fetched .* goes on where it stopped"):
        get(store, tmp_path)
    assert not (tmp_path / SHA256 / "tiny.pt").exists()
    store.breaks_after = None
    path, reported = get(store, tmp_path)
    assert path.read_bytes() == DATA
    assert store.asked[0] is None
    start = int(str(store.asked[1]).removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 3_000_000
    assert min(done for done, _ in reported) > start
    assert {total for _, total in reported} == {len(DATA)}


def test_a_server_without_ranges_sends_it_whole(store: Store, tmp_path: Path) -> None:
    part = tmp_path / SHA256 / ".tiny.pt.part"
    part.parent.mkdir()
    part.write_bytes(DATA[:1000])
    store.ranges = False
    assert get(store, tmp_path)[0].read_bytes() == DATA


def test_a_whole_part_takes_its_name(store: Store, tmp_path: Path) -> None:
    part = tmp_path / SHA256 / ".tiny.pt.part"
    part.parent.mkdir()
    part.write_bytes(DATA)
    assert get(store, tmp_path)[0].read_bytes() == DATA
    assert store.asked == [f"bytes={len(DATA)}-"]


def test_what_came_damaged_is_removed(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=rf"came damaged and was removed: its SHA-256 is {SHA256}, not 0000"):
        get(store, tmp_path, "0" * 64)
    assert not [file for file in (tmp_path / ("0" * 64)).iterdir() if file.suffix == ".part"]


def test_a_refusal_is_one_sentence(store: Store, tmp_path: Path) -> None:
    store.status = 503
    with pytest.raises(UnavailableError, match=r"Whisper tiny could not be fetched: 127.0.0.1 answered 503; try again"):
        get(store, tmp_path)


def test_without_network_the_remedies_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(UnavailableError, match=r"could not be fetched .* once there is a network, or .* file:PATH"):
        get(Store(url="http://127.0.0.1:9"), tmp_path)


def test_a_full_disk_says_so(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whisper_weights, "_append", full)
    with pytest.raises(UnavailableError, match=r"the disk that holds .* is full: Whisper tiny was not fetched"):
        get(store, tmp_path)


def test_an_unknown_size_is_refused_with_near_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no Whisper of size 'bas'; did you mean 'base'"):
        fetch("bas", folder=tmp_path, on_progress=lambda *_: None)


def test_whispers_own_table_gives_each_size_a_checksum() -> None:
    table = whisper_weights._own_table()
    assert {"tiny", "base", "small", "large-v3", "turbo"} <= set(table)
    assert all(len(url.split("/")[-2]) == 64 for url in table.values())
