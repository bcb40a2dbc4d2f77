"""
The APIs by which registries list what they hold, each answering in the shape recorded from the real one, a few rows a page.

Each is a switch for a proxy: before a real registry where the API shares its host, before nothing where it has its own.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.support.images import Image
from tests.support.wire import Answer, Request, plain_answer
from tests.switches import Switch

MOMENT = "2026-01-02T03:04:05.678901Z"
Held = Mapping[str, Mapping[str, Image]]


class RecordedApi(Switch):
    """
    Answers the requests of `routes`, forwards others.

    `held` is the content of the registry: path → tag → image.
    """

    page_size = 2

    def __init__(self, held: Held, *, authorization: tuple[str, str] | None = None) -> None:
        """Serve *held*, with *authorization* (header, value) only to requests that have it."""
        self.held = held
        self.authorization = authorization
        self.routes: list[tuple[str, Callable[..., Answer]]] = []

    def request(self, request: Request) -> Request | Answer:
        """Answer if it is for the API."""
        for pattern, answer in self.routes:
            found = re.fullmatch(pattern, request.path)
            if found is None:
                continue
            if self.authorization is not None and request.header(self.authorization[0]) != self.authorization[1]:
                return self.document({"message": "authentication required"}, status=401)
            query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
            return answer(request, query, *map(unquote, found.groups()))
        return request

    def page(self, rows: list[Any], query: Mapping[str, str]) -> tuple[list[Any], bool]:
        """Return the rows of the requested page, and whether more follow."""
        begin = (int(query.get("page", "1")) - 1) * self.page_size
        return rows[begin : begin + self.page_size], begin + self.page_size < len(rows)

    def document(self, document: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
        """Return JSON."""
        return plain_answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def below(self, namespace: str) -> list[str]:
        """Return the paths below *namespace*."""
        return sorted(path for path in self.held if path.startswith(f"{namespace}/"))


class DockerHubApi(RecordedApi):
    """hub.docker.com: repositories, tags and logins; `next` always names Hub itself."""

    def __init__(self, held: Held, *, login: tuple[str, str] | None = None) -> None:
        """Serve *held*, with *login* (user, secret) only to its tokens."""
        super().__init__(held, authorization=None if login is None else ("authorization", "Bearer hub-api-token"))
        self.login = login
        self.logins: list[dict[str, str]] = []
        self.routes = [
            (r"/v2/namespaces/([^/]+)/repositories", self._repositories),
            (r"/v2/namespaces/([^/]+)/repositories/([^/]+)/tags", self._tags),
        ]

    def request(self, request: Request) -> Request | Answer:
        """Log in, or list."""
        if request.method == "POST" and request.path == "/v2/auth/token":
            return self.document({"access_token": "hub-api-token"})
        return super().request(request)

    def _repositories(self, request: Request, query: Mapping[str, str], namespace: str) -> Answer:
        rows = [{"name": path.partition("/")[2], "namespace": namespace, "repository_type": "image", "is_private": False} for path in self.below(namespace)]
        rows.append({"name": "plugin", "namespace": namespace, "repository_type": "plugin"})
        return self._listed(request, query, rows)

    def _tags(self, request: Request, query: Mapping[str, str], namespace: str, name: str) -> Answer:
        tags = self.held.get(f"{namespace}/{name}")
        if tags is None:
            return self.document({"message": "object not found", "errinfo": {}}, status=404)
        rows = [
            {
                "name": tag,
                "digest": content.digest,
                "media_type": content.media_type,
                "full_size": 1,
                "last_updated": MOMENT,
                "tag_last_pushed": MOMENT,
                "images": [{"architecture": "amd64", "os": "linux", "size": content.size_bytes, "digest": content.digest}],
            }
            for tag, content in tags.items()
        ]
        return self._listed(request, query, rows)

    def _listed(self, request: Request, query: Mapping[str, str], rows: list[Any]) -> Answer:
        shown, more = self.page(rows, query)
        following = f"https://hub.docker.com{request.path}?page={int(query['page']) + 1}&page_size={query['page_size']}" if more else None
        return self.document({"count": len(rows), "next": following, "previous": None, "results": shown})


class QuayApi(RecordedApi):
    """Quay: pages by `next_page`, tags by `has_additional`."""

    def __init__(self, held: Held, *, token: str | None = None) -> None:
        """Serve *held*, with *token* only to requests that have it."""
        super().__init__(held, authorization=None if token is None else ("authorization", f"Bearer {token}"))
        self.routes = [(r"/api/v1/repository", self._repositories), (r"/api/v1/repository/(.+)/tag/", self._tags)]

    def _repositories(self, request: Request, query: Mapping[str, str]) -> Answer:
        if self.authorization is None and query.get("public") != "true":
            return self.document({"error_message": "namespace, starred or public is required"}, status=400)
        namespace = query["namespace"]
        rows = [
            {"namespace": namespace, "name": path.partition("/")[2], "is_public": True, "kind": "image", "state": "NORMAL"} for path in self.below(namespace)
        ]
        number = int(query.get("next_page", "opaque=1").partition("=")[2])
        shown, more = self.page(rows, {"page": str(number)})
        return self.document({"repositories": shown} | ({"next_page": f"opaque={number + 1}"} if more else {}))

    def _tags(self, request: Request, query: Mapping[str, str], path: str) -> Answer:
        if path not in self.held:
            return self.document({"error_message": "Not Found"}, status=404)
        rows = [
            {
                "name": tag,
                "reversion": False,
                "start_ts": 1767323045,
                "manifest_digest": content.digest,
                "is_manifest_list": bool(content.children),
                "size": None,
                "last_modified": "Fri, 02 Jan 2026 03:04:05 -0000",
            }
            for tag, content in self.held[path].items()
        ]
        if query.get("onlyActiveTags") != "true":
            rows.append({"name": "dead", "manifest_digest": f"sha256:{'0' * 64}", "last_modified": "Fri, 02 Jan 2026 03:04:05 -0000"})
        shown, more = self.page(rows, query)
        return self.document({"tags": shown, "page": int(query["page"]), "has_additional": more})


class HarborApi(RecordedApi):
    """Harbor: projects, repositories (slashes encoded twice), artifacts, `X-Total-Count`, `Link`."""

    def __init__(self, held: Held, *, authorization: tuple[str, str] | None = None) -> None:
        """Serve *held*."""
        super().__init__(held, authorization=authorization)
        self.projects = {path.partition("/")[0] for path in held}
        self.routes = [
            (r"/api/v2.0/projects", self._projects),
            (r"/api/v2.0/projects/([^/]+)/repositories", self._repositories),
            (r"/api/v2.0/projects/([^/]+)/repositories/([^/]+)/artifacts", self._artifacts),
        ]

    def _projects(self, request: Request, query: Mapping[str, str]) -> Answer:
        return self._listed(request, query, [{"name": name, "project_id": 1} for name in sorted(self.projects)])

    def _repositories(self, request: Request, query: Mapping[str, str], project: str) -> Answer:
        return self._listed(request, query, [{"name": path, "artifact_count": 1} for path in self.below(project)])

    def _artifacts(self, request: Request, query: Mapping[str, str], project: str, name: str) -> Answer:
        path = f"{project}/{unquote(name)}"
        if path not in self.held or ("/" in path.partition("/")[2] and "%252F" not in request.target):
            return self.document({"errors": [{"code": "NOT_FOUND", "message": f"repository {name} not found"}]}, status=404)
        rows: dict[str, dict[str, Any]] = {}
        for tag, content in self.held[path].items():
            row = {
                "digest": content.digest,
                "manifest_media_type": content.media_type,
                "size": content.size_bytes,
                "push_time": MOMENT,
                "extra_attrs": {"created": "1970-01-01T00:00:00Z"},
                "tags": [],
            }
            rows.setdefault(content.digest, row)["tags"].append({"name": tag, "push_time": MOMENT, "immutable": False})
            rows.update({child.digest: {"digest": child.digest, "tags": None} for child in content.children})
        return self._listed(request, query, list(rows.values()))

    def _listed(self, request: Request, query: Mapping[str, str], rows: list[Any]) -> Answer:
        if int(query.get("page_size", "10")) > 100:
            return self.document({"errors": [{"code": "UNPROCESSABLE_ENTITY", "message": "page_size"}]}, status=422)
        shown, more = self.page(rows, query)
        link = {"Link": f'<{request.path}?page={int(query["page"]) + 1}&page_size={query["page_size"]}>; rel="next"'} if more else {}
        return self.document(shown, headers={"X-Total-Count": str(len(rows))} | link)


class GitLabApi(RecordedApi):
    """GitLab: registry repositories of a group, or of a project; `X-Next-Page`."""

    def __init__(self, held: Held, *, token: str | None = None) -> None:
        """
        Serve *held*, with *token* only to requests that have it.

        A namespace with a slash is a project, any other a group.
        """
        super().__init__(held, authorization=None if token is None else ("private-token", token))
        self.routes = [(r"/api/v4/(groups|projects)/([^/]+)/registry/repositories", self._repositories)]

    def _repositories(self, request: Request, query: Mapping[str, str], kind: str, whole: str) -> Answer:
        if (kind == "projects") != ("/" in whole):
            return self.document({"message": f"404 {kind[:-1]} Not Found"}, status=404)
        rows = [
            {"id": number, "name": "", "path": path, "project_id": 1, "location": f"registry.example/{path}"} for number, path in enumerate(self.below(whole))
        ]
        shown, more = self.page(rows, query)
        return self.document(shown, headers={"X-Next-Page": str(int(query["page"]) + 1) if more else ""})


class GhcrApi(RecordedApi):
    """api.github.com: packages and versions; `Link` always names GitHub itself."""

    def __init__(self, held: Held, *, token: str, users: frozenset[str] = frozenset()) -> None:
        """Serve *held* to requests with *token*; *users* are not organisations."""
        super().__init__(held, authorization=("authorization", f"Bearer {token}"))
        self.users = users
        self.routes = [(r"/(orgs|users)/([^/]+)/packages", self._packages), (r"/(orgs|users)/([^/]+)/packages/container/([^/]+)/versions", self._versions)]

    def _packages(self, request: Request, query: Mapping[str, str], kind: str, owner: str) -> Answer:
        if (kind == "users") != (owner in self.users) or query.get("package_type") != "container":
            return self.document({"message": "Not Found"}, status=404)
        rows = [{"id": 1, "name": path.partition("/")[2], "package_type": "container", "visibility": "public"} for path in self.below(owner)]
        return self._listed(request, query, rows)

    def _versions(self, request: Request, query: Mapping[str, str], kind: str, owner: str, name: str) -> Answer:
        tags = self.held.get(f"{owner}/{name}")
        if tags is None or (kind == "users") != (owner in self.users):
            return self.document({"message": "Package not found."}, status=404)
        rows: dict[str, dict[str, Any]] = {}
        for tag, content in tags.items():
            for version in (content, *content.children):
                rows.setdefault(version.digest, _version(version))
            rows[content.digest]["metadata"]["container"]["tags"].append(tag)
        return self._listed(request, query, list(rows.values()))

    def _listed(self, request: Request, query: Mapping[str, str], rows: list[Any]) -> Answer:
        shown, more = self.page(rows, query)
        others = "".join(f"{name}={quote(value)}&" for name, value in query.items() if name != "page")
        link = {"Link": f'<https://api.github.com{request.path}?{others}page={int(query["page"]) + 1}>; rel="next"'} if more else {}
        return self.document(shown, headers=link)


class EcrApi:
    """
    Amazon's API for ECR, JSON 1.1, as a server of its own.

    It serves within its block and records its `calls`.
    """

    page_size = 2

    def __init__(self, held: Held) -> None:
        """Serve *held*; record created repositories in `made`."""
        self.held = held
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.made: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _ecr_handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Return the URL without a trailing slash."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> EcrApi:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, call: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and document of one call."""
        self.calls.append((call, asked))
        if call == "DescribeRepositories":
            return 200, self._page("repositories", [{"repositoryName": path} for path in sorted(self.held)], asked)
        if call == "CreateRepository":
            if asked["repositoryName"] in self.made:
                return 400, {"__type": "RepositoryAlreadyExistsException", "message": "it exists"}
            self.made.append(asked["repositoryName"])
            return 200, {"repository": {"repositoryName": asked["repositoryName"]}}
        tags = self.held.get(asked.get("repositoryName", ""))
        if call != "DescribeImages" or tags is None:
            return 400, {"__type": "RepositoryNotFoundException", "message": f"The repository with name '{asked.get('repositoryName')}' does not exist"}
        rows: dict[str, dict[str, Any]] = {}
        for tag, content in tags.items():
            row = {"imageDigest": content.digest, "imageTags": [], "imageSizeInBytes": content.size_bytes, "imagePushedAt": 1767323045.0}
            rows.setdefault(content.digest, row | {"imageManifestMediaType": content.media_type, "imageStatus": "ACTIVE"})["imageTags"].append(tag)
        cold = {"imageDigest": f"sha256:{'0' * 64}", "imageTags": ["cold"], "imageStatus": "ARCHIVED"}
        return 200, self._page("imageDetails", [*rows.values(), cold], asked)

    def _page(self, field: str, rows: list[Any], asked: Mapping[str, Any]) -> dict[str, Any]:
        begin = int(asked.get("nextToken", "0"))
        more = {"nextToken": str(begin + self.page_size)} if begin + self.page_size < len(rows) else {}
        return {field: rows[begin : begin + self.page_size]} | more


def _ecr_handler(api: EcrApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, document = api.answer(self.headers["X-Amz-Target"].rpartition(".")[2], asked)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
            """Print nothing; see `calls`."""

    return Handler


def _version(content: Image) -> dict[str, Any]:
    return {"id": 1, "name": content.digest, "created_at": MOMENT, "updated_at": MOMENT, "metadata": {"package_type": "container", "container": {"tags": []}}}
