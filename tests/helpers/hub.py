"""A Hugging Face Hub on this machine that speaks as much of its protocol as uploads need."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

DATASETS = "datasets/"  # in front of the name of a repository of a dataset


class Hub(ThreadingHTTPServer):
    """A Hub whose repositories have one branch of small files.

    Attributes:
        repos: ``"owner/name"``, or ``"datasets/owner/name"`` -> name of a file -> content.
        asked: Method and path of every request but uploads of files.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.repos: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A Hub without repositories."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()


def digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def commit_of(files: dict[str, bytes]) -> str:
    """Other content is another commit: clients keep what they have of the same one."""
    return digest(b"".join(name.encode() + files[name] for name in sorted(files)))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def repos(self):
        return self.server.repos

    def answer(self, status, body=b"", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(data), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def no_repository(self):
        self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.server.asked.append(f"{self.command} {self.path}")
        asked = urlparse(self.path)
        parts = asked.path.strip("/").split("/")
        if parts == ["api", "datasets"]:
            return self.answer(200, self.listed(parse_qs(asked.query)["author"][0]))
        if parts[0] == "api":
            return self.about("/".join(parts[1:4]).removeprefix("models/"), parts[4:])
        length = 3 if parts[0] == "datasets" else 2
        files = self.repos.get("/".join(parts[:length]))
        if files is None:
            return self.no_repository()
        name = "/".join(parts[length + 2 :])  # after resolve/main
        if name not in files:
            return self.answer(404, b"", X_Error_Code="EntryNotFound", X_Repo_Commit="0" * 40)
        tag = f'"{digest(files[name])}"'
        return self.answer(200, files[name], ETag=tag, X_Repo_Commit=commit_of(files))

    def listed(self, owner):
        start = f"{DATASETS}{owner}/"
        return [{"id": r.removeprefix(DATASETS)} for r in self.repos if r.startswith(start)]

    def about(self, name, rest):
        files = self.repos.get(name)
        if files is None:
            return self.no_repository()
        if rest[:1] == ["tree"]:
            return self.answer(
                200,
                [
                    {"type": "file", "path": k, "size": len(v), "oid": digest(v)}
                    for k, v in files.items()
                ],
            )
        found = [{"rfilename": file} for file in files]
        about = {"sha": commit_of(files), "siblings": found, "tags": []}
        return self.answer(200, {"id": name.removeprefix(DATASETS), **about})

    def do_POST(self):
        self.server.asked.append(f"POST {self.path}")
        parts = urlparse(self.path).path.strip("/").split("/")
        if self.path.startswith("/api/validate-yaml"):
            self.body()
            return self.answer(200, {"errors": [], "warnings": []})
        if parts[:3] == ["api", "repos", "create"]:
            given = json.loads(self.body())
            kind = DATASETS if given.get("type") == "dataset" else ""
            name = f"{kind}{given.get('organization') or 'owner'}/{given['name']}"
            self.repos.setdefault(name, {})
            return self.answer(200, {"url": f"{self.server.url}/{name}"})
        name = "/".join(parts[1:4]).removeprefix("models/")
        if parts[4] == "preupload":
            files = json.loads(self.body())["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
            ]
            return self.answer(200, {"files": modes})
        lines = [json.loads(line) for line in self.body().splitlines()]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.repos[name][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del self.repos[name][value["path"]]
        commit = commit_of(self.repos[name])
        url = f"{self.server.url}/{name}/commit/{commit}"
        return self.answer(200, {"commitUrl": url, "commitOid": commit})

    def log_message(self, *args):
        pass
