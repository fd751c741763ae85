import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.errors import ModelError, UnavailableError
from worker.hub import TOKENIZER, fetch

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """A hub on the loopback with one model, org/name; `refuse` makes it answer with an error instead."""

    files: dict[str, bytes]
    #: status and the hub's own code of the error, by the beginning of the path
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append(path)
        for start, (status, code) in self.hub.refuse.items():
            if path.startswith(start):
                return self._send(status, b"{}", body, {"X-Error-Code": code})
        if path.startswith("/api/models/org/name/tree/"):
            listing = [
                {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
                for name, data in self.hub.files.items()
            ]
            return self._send(200, json.dumps(listing).encode(), body)
        if path.startswith("/api/models/org/name"):
            return self._send(200, json.dumps({"id": "org/name", "sha": COMMIT, "siblings": []}).encode(), body)
        name = path.removeprefix(f"/org/name/resolve/{COMMIT}/")
        if name in self.hub.files:
            tags = {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT}
            return self._send(200, self.hub.files[name], body, tags)
        return self._send(404, b"", body, {"X-Error-Code": "EntryNotFound"})

    def _send(self, status: int, data: bytes, body: bool, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def served() -> Iterator[FakeHub]:
    files = {"config.json": b"{}", "model.safetensors": b"t" * 5000, "pytorch_model.bin": b"code", "run.py": b"code"}
    hub = FakeHub(files)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def get(hub: FakeHub, cache: Path, revision: str | None = None) -> tuple[Path, str, list[tuple[int, int | None]]]:
    reported: list[tuple[int, int | None]] = []
    folder, commit = fetch(
        "org/name", revision, on_progress=lambda *done: reported.append(done), endpoint=hub.url, cache=cache
    )
    return folder, commit, reported


def test_a_snapshot_is_fetched_without_anything_that_holds_code(served: FakeHub, tmp_path: Path) -> None:
    folder, commit, reported = get(served, tmp_path)
    assert commit == COMMIT
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == b"t" * 5000
    assert max(reported, default=None) == (5002, 5002)


def test_of_a_tokenizer_no_weights_are_fetched(served: FakeHub, tmp_path: Path) -> None:
    served.files["tokenizer.json"] = b"words"
    folder, commit = fetch(
        "org/name", None, on_progress=lambda *done: None, patterns=TOKENIZER, endpoint=served.url, cache=tmp_path
    )
    assert commit == COMMIT
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "tokenizer.json"]
    assert not any(path.endswith("model.safetensors") for path in served.requests)
    whole, _, _ = get(served, tmp_path)
    assert (whole / "model.safetensors").stat().st_size == 5000


def test_the_tokenizer_of_a_whole_model_needs_no_network(served: FakeHub, tmp_path: Path) -> None:
    folder, _, _ = get(served, tmp_path)
    closed = "http://127.0.0.1:9"
    found, _ = fetch(
        "org/name", None, on_progress=lambda *done: None, patterns=TOKENIZER, endpoint=closed, cache=tmp_path
    )
    assert found == folder


def test_what_is_there_is_not_fetched_again_and_a_pinned_commit_needs_no_network(
    served: FakeHub, tmp_path: Path
) -> None:
    get(served, tmp_path)
    served.requests.clear()
    assert get(served, tmp_path, COMMIT)[1] == COMMIT
    assert served.requests == []


def test_a_gated_model_names_the_remedy(served: FakeHub, tmp_path: Path) -> None:
    served.refuse["/org/name/resolve"] = (403, "GatedRepo")
    with pytest.raises(ModelError, match=r"org/name is gated: accept the licence at the model's page .* set HF_TOKEN"):
        get(served, tmp_path)


def test_a_token_that_may_not_read_it_gets_the_same_remedy(served: FakeHub, tmp_path: Path) -> None:
    served.refuse["/api/models"] = (403, "")
    with pytest.raises(ModelError, match=r"is gated: accept the licence .*/org/name\) and set HF_TOKEN"):
        get(served, tmp_path)


def test_a_missing_model_says_so(served: FakeHub, tmp_path: Path) -> None:
    served.refuse["/api/models"] = (401, "RepoNotFound")
    with pytest.raises(ModelError, match="the hub has no model org/name, or it is private: check the name"):
        get(served, tmp_path)


def test_a_missing_revision_says_so(served: FakeHub, tmp_path: Path) -> None:
    served.refuse["/api/models"] = (404, "RevisionNotFound")
    with pytest.raises(ModelError, match="org/name has no revision 'v9'"):
        get(served, tmp_path, "v9")


def test_without_network_what_is_missing_may_come_later(served: FakeHub, tmp_path: Path) -> None:
    closed = FakeHub({}, url="http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="org/name is not in the cache and the hub can't be reached"):
        get(closed, tmp_path)


def test_without_network_what_is_there_is_used(served: FakeHub, tmp_path: Path) -> None:
    folder, _, _ = get(served, tmp_path)
    closed = FakeHub({}, url="http://127.0.0.1:9")
    assert get(closed, tmp_path)[0] == folder


def test_a_part_of_a_model_is_not_taken_for_it(served: FakeHub, tmp_path: Path) -> None:
    folder, _, _ = get(served, tmp_path)
    (folder / "model.safetensors").unlink()
    closed = FakeHub({}, url="http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="only a part of org/name is in the cache"):
        get(closed, tmp_path)


def test_any_other_refusal_may_pass(served: FakeHub, tmp_path: Path) -> None:
    served.refuse["/org/name/resolve"] = (400, "")
    with pytest.raises(UnavailableError, match=r"the hub did not give org/name \(it answered 400\)"):
        get(served, tmp_path)
