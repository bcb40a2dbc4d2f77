"""
dregsy's file: `tasks`, each from one registry to another, with `mappings` of paths.

Facts: README.md, doc/design-image-matching.md and internal/pkg/sync of dregsy.
"""

from __future__ import annotations

import re
from typing import Any

from imgsync.config.model import Destination, Mirror, Source
from imgsync.convert.dregsy_tags import line_search, read_tags
from imgsync.convert.model import Conversion, Options
from imgsync.convert.patterns import plain_name
from imgsync.convert.reading import Piece
from imgsync.convert.registry_settings import RegistryCollector
from imgsync.convert.shapes import REFERRERS_TRAVEL, checked_platforms, destination_of, mirror_name, named, read_image, read_registry, repositories_of
from imgsync.filters.globs import compile_expression
from imgsync.oci.spec.reference import is_repository_path

NAME = "dregsy"
_WHEN = (False, "when to run is said by CI or cron")
_NO_RELAY = (False, "not needed: imgsync copies by itself, without docker or skopeo")
_ROOT = {
    "relay": _NO_RELAY,
    "docker": _NO_RELAY,
    "dockerhost": _NO_RELAY,
    "api-version": _NO_RELAY,
    "watch": (False, "not needed: each run reads the files anew"),
    "lister": (False, "not needed: imgsync lists everything, with no limit"),
}
_TASK = {"interval": _WHEN, "verbose": (False, "what is told is said by --log-level")}
_LOCATION = ("registry", "auth", "skip-tls-verify", "auth-refresh", "lister")
_MAPPING = ("from", "to", "tags", "platform")
_REGEX = "regex:"
_ECR = re.compile(r"[0-9]+\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")
_GOOGLE = re.compile(r"(?:[a-z]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev")
_GROUP = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+)|(\$))")


def recognises(value: dict[str, Any]) -> bool:
    """Return whether a file of this form holds *value*."""
    return isinstance(value.get("tasks"), list)


def convert(pieces: list[Piece], options: Options) -> Conversion:  # noqa: ARG001 - every format is asked the same way
    """Return what the file comes to; faults and remarks are noted on the way."""
    root, registries = pieces[0], RegistryCollector()
    root.knows((*_ROOT, "skopeo", "tasks"), extensions=True)
    root.tell(_ROOT)
    root.note(REFERRERS_TRAVEL)
    for name, known in (("docker", ("dockerhost", "api-version")), ("lister", ("maxItems", "cacheDuration"))):
        block = root.get(name)
        if block is not None:
            block.knows(known)
    skopeo = root.get("skopeo")
    if skopeo is not None:
        skopeo.knows(("binary", "certs-dir"))
        skopeo.tell({"binary": _NO_RELAY, "certs-dir": (True, "certificates are named one by one, as `tls: {ca: FILE}` of a registry in registries.yaml")})
    tasks = root.need("tasks")
    mirrors = [mirror for task in (tasks.items() if tasks is not None else []) for mirror in _Task(task, registries).mirrors()]
    return Conversion(NAME, tuple(named(mirrors)), registries.entries(), ())


class _Task:
    """One entry of `tasks`."""

    def __init__(self, task: Piece, registries: RegistryCollector) -> None:
        self._task = task
        self._registries = registries

    def mirrors(self) -> list[Mirror]:
        """Return a mirror for each mapping; several where one selection of tags cannot say it."""
        self._task.knows((*_TASK, "name", "source", "target", "mappings"))
        self._task.tell(_TASK)
        name, source, target = (self._task.need(key) for key in ("name", "source", "target"))
        if name is None or source is None or target is None:
            return []
        here, there = self._location(source), self._location(target)
        if there and _ECR.fullmatch(there):
            self._registries.say(there, create_repositories=True)
        mappings = self._task.get("mappings")
        pieces = mappings.items() if mappings is not None else []
        if mappings is not None and any(piece.get("platform") is None for piece in pieces):
            mappings.note("without `platform` dregsy copies one platform of an index; here all are copied", hint="`platforms: [linux/amd64]` keeps to one")
        if not here or not there:
            return []
        found = []
        for piece in pieces:
            base = name.text() if len(pieces) == 1 else ""
            found += _Mapping(piece, task=name.text(), here=here, there=there).mirrors(base)
        return found

    def _location(self, location: Piece) -> str:
        location.knows(_LOCATION)
        name = location.need("registry")
        registry = read_registry(name, name.text()) if name is not None else ""
        auth, verify = location.get("auth"), location.get("skip-tls-verify")
        if auth is not None and auth.value == "none":
            auth.note("without a login in registries.yaml podman's and docker's are looked up")
        elif auth is not None:
            self._registries.login(auth, registry, value=auth.value)
        elif _GOOGLE.fullmatch(registry):
            location.note("dregsy logs in there as Google's tools do", hint="docker-credential-gcr, named in docker's config.json, does so for imgsync")
        if verify is not None and location.flag("skip-tls-verify"):
            self._registries.insecure(verify, registry)
        location.tell({"auth-refresh": (False, "imgsync renews logins of ECR by itself (`pip install 'imgsync-mirror[ecr]'`)")})
        lister = location.get("lister")
        if lister is not None:
            lister.knows(("type", "search"))
            lister.note("imgsync finds out how the registry lists its repositories", hint="`listing` in registries.yaml says it")
        return registry


class _Mapping:
    """One entry of `mappings`."""

    def __init__(self, mapping: Piece, *, task: str, here: str, there: str) -> None:
        self._mapping = mapping
        self._task = task
        self._here = here
        self._there = there

    def mirrors(self, name: str) -> list[Mirror]:
        """Return what the mapping comes to, called *name* or after the task and the image."""
        self._mapping.knows(_MAPPING)
        origin = self._mapping.need("from")
        if origin is None:
            return []
        text = origin.text()
        found = self._matching(origin, text.removeprefix(_REGEX)) if text.startswith(_REGEX) else self._exact(origin, text)
        if found is None:
            return []
        source, destination = found
        what = (*source.repositories, *source.namespaces)[0]
        base = name or f"{self._task}-{mirror_name(what)}"
        line = self._mapping.line
        file = self._mapping.document.file
        platforms = self._platforms()
        return [Mirror(base, source, (destination,), tags=tags, platforms=platforms, file=file, line=line) for tags in read_tags(self._mapping)]

    def _exact(self, origin: Piece, text: str) -> tuple[Source, Destination] | None:
        image = read_image(origin, f"{self._here}/{text.strip('/')}")
        target = self._mapping.get("to")
        path = self._path(text.strip("/"), target)
        if image is None or path is None:
            return None
        if target is not None and not is_repository_path(path):
            target.fault(f"{path!r} is no repository path")
            return None
        return Source(self._here, repositories=(image.repository.path,)), destination_of(image.repository.path, self._there, path)

    def _path(self, path: str, target: Piece | None) -> str | None:
        if target is None:
            return path
        written = target.text()
        return self._replaced(target, written.removeprefix(_REGEX), path) if written.startswith(_REGEX) else written.strip("/")

    def _matching(self, origin: Piece, pattern: str) -> tuple[Source, Destination] | None:
        search = line_search(origin, pattern)
        found = repositories_of(search) if search is not None else None
        if search is not None and found is None:
            origin.lost(
                "repositories are chosen by path or namespace, not by expression; this mapping is left out",
                hint="name them: `imgsync list REGISTRY` shows what there is",
            )
        if found is None:
            return None
        source = Source(self._here, *(tuple(part) for part in found))
        target = self._mapping.get("to")
        if target is None:
            return source, Destination(self._there)
        written = target.text()
        if not written.startswith(_REGEX):
            return source, Destination(self._there, written.strip("/"))
        destination = self._moved(written.removeprefix(_REGEX), source)
        if destination is None:
            target.lost("this change of paths cannot be said; the mapping is left out", hint="see {path}, {name} and {relative} of `destinations`")
            return None
        return source, destination

    def _moved(self, text: str, source: Source) -> Destination | None:
        """Return the destination that puts another namespace in place of the one namespace of *source*; None when that is not what *text* does."""
        pattern, comma, replacement = text.partition(",")
        old = plain_name(f"^{pattern}$")
        new = replacement.strip("/")
        if not comma or source.repositories or len(source.namespaces) != 1 or old is None or "$" in replacement:
            return None
        namespace = source.namespaces[0]
        if not namespace or old.strip("/") != namespace or old.endswith("/") != replacement.endswith("/") or not is_repository_path(new):
            return None
        return Destination(self._there, new, "{relative}")

    def _replaced(self, target: Piece, text: str, path: str) -> str | None:
        """Return *path* as `to: regex:PATTERN,REPLACEMENT` changes it; dregsy has a slash before the path."""
        pattern, comma, replacement = text.partition(",")
        if not comma:
            target.fault("the replacement is missing", hint="such as regex:PATTERN,REPLACEMENT")
            return None
        try:
            expression = compile_expression(pattern)
        except ValueError as error:
            target.fault(str(error))
            return None
        done = expression.sub(lambda found: _filled(replacement, found), f"/{path}")
        return str(done).strip("/")

    def _platforms(self) -> tuple[str, ...] | None:
        platform = self._mapping.get("platform")
        if platform is None:
            return None
        if platform.value == "all":
            return None
        platform.note("the tag names an index of this one platform, where dregsy leaves the index out")
        return checked_platforms(platform, [platform.text()])


def _filled(replacement: str, found: Any) -> str:
    """Return Go's *replacement* with the groups of *found* filled in; a group that is not there is nothing."""

    def group(mark: re.Match[str]) -> str:
        name = mark[1] or mark[2]
        if name is None:
            return "$"
        if not name.isdigit() or int(name) > found.re.groups:
            return ""
        return str(found.group(int(name)) or "")

    return _GROUP.sub(group, replacement)
