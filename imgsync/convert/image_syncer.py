"""
image-syncer's files: one with `auth` and `images`, or one of each, in JSON or YAML.

Facts: README.md, pkg/utils/url.go and pkg/client/config.go of image-syncer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from imgsync.config.model import Destination, Mirror, Source
from imgsync.convert.model import Conversion, Options
from imgsync.convert.patterns import whole_match
from imgsync.convert.reading import Piece
from imgsync.convert.registry_settings import RegistryCollector
from imgsync.convert.shapes import REFERRERS_TRAVEL, destination_of, digest_left_out, merged, mirror_name, named, read_image, read_registry
from imgsync.errors import UsageError
from imgsync.filters.globs import compile_expression
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.reference import Reference, is_tag

NAME = "image-syncer"
_LOGIN = ("username", "password", "insecure")
_WHOLE_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


def recognises(value: dict[str, Any]) -> bool:
    """Return whether a file of this form holds *value*."""
    return _is_whole(value) or _is_auth(value) or _is_images(value)


def convert(pieces: list[Piece], options: Options) -> Conversion:  # noqa: ARG001 - every format is asked the same way
    """
    Return what the files come to; faults and remarks are noted on the way.

    Raises:
        UsageError: None of the files holds images, or two hold the same.
    """
    auth, images = _parts(pieces)
    registries = RegistryCollector()
    if auth is not None:
        _read_auth(auth, registries)
    if images is None:
        raise UsageError("the file holds logins, but no images", hint="name both files: imgsync convert auth.yaml images.yaml")
    images.note("all platforms of an index are copied, as without --os and --arch", hint="`platforms: [linux/amd64]` keeps to some")
    images.note(REFERRERS_TRAVEL)
    mirrors = [mirror for rule, piece in images.entries() for mirror in _Rule(rule, piece).mirrors()]
    return Conversion(NAME, tuple(named(merged(mirrors))), registries.entries(), ())


def _is_whole(value: dict[str, Any]) -> bool:
    return "images" in value and set(value) <= {"auth", "images"} and all(one is None or isinstance(one, dict) for one in value.values())


def _is_auth(value: dict[str, Any]) -> bool:
    return bool(value) and all(isinstance(one, dict) and one and set(one) & set(_LOGIN) for one in value.values())


def _is_images(value: dict[str, Any]) -> bool:
    return all(isinstance(one, str | list) for one in value.values()) and any("/" in name or "/" in one for name, one in value.items())


def _parts(pieces: list[Piece]) -> tuple[Piece | None, Piece | None]:
    found: dict[str, Piece] = {}
    for piece in pieces:
        if _is_whole(piece.value) or "images" in piece.value:
            piece.knows(("auth", "images"))
            parts = {name: piece.get(name) for name in ("auth", "images")}
        else:
            parts = {"auth" if _is_auth(piece.value) else "images": piece}
        for name, part in parts.items():
            if part is not None and name in found:
                raise UsageError(f"two files hold {'logins' if name == 'auth' else 'images'}", hint="convert them one after the other")
            if part is not None:
                found[name] = part
    return found.get("auth"), found.get("images")


def _read_auth(auth: Piece, registries: RegistryCollector) -> None:
    for name, entry in auth.entries():
        entry.knows(_LOGIN)
        host, slash, _ = name.rstrip("/").partition("/")
        registry = read_registry(entry, host)
        if slash:
            entry.lost("registries.yaml holds a login per registry, not per namespace", hint="podman's auth.json may name namespaces, and is read")
            continue
        user, password = entry.get("username"), entry.get("password")
        if user is not None or password is not None:
            values = tuple(piece.text() if piece is not None else "" for piece in (user, password))
            registries.login(entry, registry, value=values, username=_variable(values[0]), password=_variable(values[1]))
        insecure = entry.get("insecure")
        if insecure is not None and entry.flag("insecure"):
            insecure.note("taken as plain http, as image-syncer's documentation has it", hint="for https without verification write `tls: {verify: false}`")
            registries.say(registry, tls=False)


def _variable(text: str) -> str:
    found = _WHOLE_VARIABLE.fullmatch(text)
    return f"${{{found[1] or found[2]}}}" if found is not None else ""


@dataclass(frozen=True, slots=True)
class _Images:
    """One side of a rule: a repository, and what of it: tags, a digest, a search, or everything."""

    image: Reference
    tags: tuple[str, ...] = ()
    search: str = ""


class _Rule:
    """One entry of `images`: a source, and where it goes."""

    def __init__(self, rule: str, piece: Piece) -> None:
        self._rule = rule
        self._piece = piece

    def mirrors(self) -> list[Mirror]:
        """Return what the rule comes to: several mirrors where tags are renamed."""
        source = self._read(self._piece, self._rule)
        pieces = self._piece.items() if isinstance(self._piece.value, list) else [self._piece]
        if not pieces:
            self._piece.fault("no destination is named")
        targets = [(piece, self._target(piece)) for piece in pieces]
        if source is None:
            return []
        if source.image.digest:
            for _, target in targets:
                if target is not None:
                    digest_left_out(self._piece, source.image, f"{target.image.repository}")
            return []
        kept: dict[TagFilter, list[Destination]] = {}
        for piece, target in targets:
            for tags, destination in self._pairs(source, piece, target) if target is not None else []:
                kept.setdefault(tags, []).append(destination)
        return [self._mirror(source, tags, destinations) for tags, destinations in kept.items()]

    def _mirror(self, source: _Images, tags: TagFilter, destinations: list[Destination]) -> Mirror:
        repository = source.image.repository
        here = Source(repository.registry, repositories=(repository.path,))
        return Mirror(mirror_name(repository.path), here, tuple(dict.fromkeys(destinations)), tags=tags, file=self._piece.document.file, line=self._piece.line)

    def _target(self, piece: Piece) -> _Images | None:
        text = piece.text()
        if "$" in text:
            piece.lost("mirrors.d reads no variables; this destination is left out", hint="write the value in its place, and convert again")
            return None
        if not text:
            piece.fault("a destination is empty")
            return None
        return self._read(piece, text)

    def _pairs(self, source: _Images, piece: Piece, target: _Images) -> list[tuple[TagFilter, Destination]]:
        """Return which tags go where: all as they are, or each under the name that stands in its place."""
        if target.search or target.image.digest:
            piece.fault("a destination has tags, or nothing, behind its name")
            return []
        tags = TagFilter(regex=(whole_match(source.search),)) if source.search else TagFilter(names=source.tags)
        if not target.tags or target.tags == source.tags:
            return [(tags, self._destination(source, target, "{tag}"))]
        if len(target.tags) != len(source.tags):
            piece.lost("as many tags must stand behind the destination as behind the source, one for each; image-syncer fails here, and it is left out")
            return []
        return [
            (TagFilter(names=(old,)), self._destination(source, target, "{tag}" if new == old else new))
            for old, new in zip(source.tags, target.tags, strict=True)
        ]

    def _destination(self, source: _Images, target: _Images, tag: str) -> Destination:
        there = target.image.repository
        return destination_of(source.image.repository.path, there.registry, there.path, tag=tag)

    def _read(self, piece: Piece, text: str) -> _Images | None:
        name, slash, expression = text.partition(":/")
        if slash:
            image = read_image(piece, name)
            if not expression.endswith("/"):
                piece.fault("an expression stands between two slashes, such as REPOSITORY:/v1.*/")
                return None
            search = expression[:-1]
            try:
                compile_expression(search)
            except ValueError as error:
                piece.fault(str(error))
                return None
            return _Images(image, search=search) if image is not None else None
        first, *further = text.split(",")
        image = read_image(piece, first)
        if image is None:
            return None
        wrong = [tag for tag in further if not is_tag(tag)]
        if wrong or (further and not image.tag):
            piece.fault("tags are separated by commas, such as REPOSITORY:v1,v2")
            return None
        return _Images(image, (image.tag, *further) if image.tag else ())
