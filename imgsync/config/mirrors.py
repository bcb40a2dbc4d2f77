"""Documents of `mirrors.d` that fit the schema become mirrors; what no schema can say is checked here (design.md §2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import re2

from imgsync.config import templates
from imgsync.config.model import Concurrency, Destination, Mirror, Retry, Source, Timeouts
from imgsync.config.yaml_reader import Document, Path
from imgsync.errors import Fault, InvalidReferenceError
from imgsync.globs import compile_glob, re2_options
from imgsync.oci.reference import is_repository_path, is_tag, parse_path, parse_registry, parse_repository
from imgsync.tags import TagFilter
from imgsync.units import parse_duration
from imgsync.versions import parse_range

_BLOCKS = ("tags", "concurrency", "timeouts", "retry")


class MirrorBuilder:
    """Builds the mirrors of one folder: `defaults` first, then each mirror over them. Faults gather in `faults`."""

    def __init__(self, documents: Sequence[Document]) -> None:
        """Build from *documents*, all of which fit the schema."""
        self._documents = documents
        self.faults: list[Fault] = []
        self._defaults: dict[str, Any] = {}

    def build(self) -> list[Mirror]:
        """Return every mirror that could be built, in order."""
        for document in self._documents:
            self._check_variables(document)
        self._find_defaults()
        mirrors: list[Mirror] = []
        names: dict[str, str] = {}
        for document in self._documents:
            for index, entry in enumerate(document.value.get("mirrors") or ()):
                path: Path = ("mirrors", index)
                where = f"{document.file}:{document.places[path][0]}"
                if entry["name"] in names:
                    self._fault(document, (*path, "name"), f"the name '{entry['name']}' is taken", f"first used at {names[entry['name']]}")
                names.setdefault(entry["name"], where)
                mirrors.append(_OneMirror(document, path, entry, self._defaults, self.faults).build())
        return mirrors

    def _find_defaults(self) -> None:
        found: Document | None = None
        for document in self._documents:
            if "defaults" not in document.value:
                continue
            if found is not None:
                first = found.keys[("defaults",)]
                hint = f"first at {found.file}:{first[0]}; keep one"
                self.faults.append(document.fault(("defaults",), "defaults are declared twice", hint=hint, at_key=True))
                continue
            found = document
            self._defaults = document.value["defaults"]
            # Built once for its faults: a mistake in a default is told where it stands, once.
            _OneMirror(document, ("defaults",), self._defaults, {}, self.faults).check_settings()

    def _check_variables(self, document: Document) -> None:
        for path, text in _texts(document.value, ()):
            if "${" in text:
                self._fault(document, path, "variables are not read in mirrors.d", "put what varies, such as credentials, in registries.yaml")

    def _fault(self, document: Document, path: Path, message: str, hint: str) -> None:
        self.faults.append(document.fault(path, message, hint=hint))


class _OneMirror:
    def __init__(self, document: Document, path: Path, entry: Mapping[str, Any], defaults: Mapping[str, Any], faults: list[Fault]) -> None:
        self._document = document
        self._path = path
        self._entry = entry
        self._defaults = defaults
        self._faults = faults

    def build(self) -> Mirror:
        source = self._source()
        destinations = tuple(self._destination(index, entry) for index, entry in enumerate(self._entry["destinations"]))
        self.check_settings()
        line = self._document.places[self._path][0]
        return Mirror(name=self._entry["name"], source=source, destinations=destinations, file=self._document.file, line=line, **self._settings())

    def check_settings(self) -> None:
        """Note the faults of what this entry itself says, whatever the defaults are."""
        self._refuse_unbuilt()
        tags = self._entry.get("tags") or {}
        at: Path = ("tags",)
        self._each(at, tags, "names", self._is_tag)
        self._each(at, tags, "include", compile_glob)
        self._each(at, tags, "exclude", compile_glob)
        self._each(at, tags, "regex", _compile)
        self._each(at, tags, "extract", _compile_extract)
        self._each(at, tags, "semver", parse_range)
        self._each((), self._entry, "immutable", compile_glob)
        at_least, at_most = tags.get("at_least"), tags.get("at_most")
        if at_least is not None and at_most is not None and at_least > at_most:
            self._fault((*at, "at_most"), f"at_most {at_most} is less than at_least {at_least}")

    def _settings(self) -> dict[str, Any]:
        merged = {**self._defaults, **self._entry}
        for block in _BLOCKS:
            merged[block] = {**(self._defaults.get(block) or {}), **(self._entry.get(block) or {})}
        platforms = merged.get("platforms", "all")
        times = {name: parse_duration(text) for name, text in merged["timeouts"].items()}
        retry = dict(merged["retry"])
        if "interval" in retry:
            retry["interval_seconds"] = parse_duration(retry.pop("interval"))
        return {
            "description": merged.get("description", ""),
            "suspend": merged.get("suspend", False),
            "tags": _tag_filter(merged["tags"]),
            "platforms": None if platforms == "all" else tuple(platforms),
            "referrers": False if merged.get("referrers") is False else None,
            "immutable": tuple(merged.get("immutable", ())),
            "concurrency": Concurrency(**merged["concurrency"]),
            "timeouts": Timeouts(**{f"{name}_seconds": seconds for name, seconds in times.items()}),
            "retry": Retry(**retry),
        }

    def _source(self) -> Source:
        entry, path = self._entry["source"], (*self._path, "source")
        if isinstance(entry, str):
            found = self._parsed(path, lambda: parse_repository(entry))
            return Source("", ()) if found is None else Source(found.registry, repositories=(found.path,))
        registry = self._parsed((*path, "registry"), lambda: parse_registry(entry["registry"])) or ""
        namespaces = tuple(self._namespace((*path, "namespaces", index), text) for index, text in enumerate(entry.get("namespaces") or ()))
        repositories = [
            self._parsed((*path, "repositories", index), partial(parse_path, text, registry=registry))
            for index, text in enumerate(entry.get("repositories") or ())
        ]
        self._each(("source",), entry, "exclude", compile_glob)
        if not namespaces and not repositories:
            self._document_fault(path, "neither namespaces nor repositories are named", 'name some; `namespaces: [""]` is the whole registry')
        return Source(registry, namespaces, tuple(dict.fromkeys(found for found in repositories if found)), tuple(entry.get("exclude") or ()))

    def _namespace(self, path: Path, text: str) -> str:
        if text and not is_repository_path(text):
            self._document_fault(path, f"{text!r} is no namespace", "namespaces are repository paths: lower-case words joined by '/', '.', '_' or '-'")
        return text

    def _destination(self, index: int, entry: str | Mapping[str, Any]) -> Destination:
        path = (*self._path, "destinations", index)
        if isinstance(entry, str):
            host, _, namespace = entry.partition("/")
            registry = self._parsed(path, lambda: parse_registry(host)) or ""
            return Destination(registry, self._namespace(path, namespace))
        registry = self._parsed((*path, "registry"), lambda: parse_registry(entry["registry"])) or ""
        namespace = self._namespace((*path, "namespace"), entry.get("namespace", ""))
        repository, tag = entry.get("repository", "{path}"), entry.get("tag", "{tag}")
        self._parsed((*path, "repository"), lambda: templates.check_repository_template(repository))
        self._parsed((*path, "tag"), lambda: templates.check_tag_template(tag))
        return Destination(registry, namespace, repository, tag)

    def _refuse_unbuilt(self) -> None:
        tags = self._entry.get("tags") or {}
        asked = {
            ("referrers",): self._entry.get("referrers") not in {None, False} if not isinstance(self._entry.get("referrers"), list) else True,
            ("prune",): self._entry.get("prune") not in (None, False),
            ("tags", "min_age"): "min_age" in tags,
        }
        for path, is_asked in asked.items():
            if is_asked:
                self._faults.append(
                    self._document.fault((*self._path, *path), f"'{path[-1]}' is not built yet in this version", hint="leave it out for now", at_key=True)
                )

    def _is_tag(self, text: str) -> None:
        if not is_tag(text):
            raise ValueError(f"{text!r} is no tag; tags are up to 128 letters, digits, '_', '.' and '-'")

    def _each(self, at: Path, block: Mapping[str, Any], name: str, check: Callable[[str], object]) -> None:
        value = block.get(name)
        for index, text in enumerate([value] if isinstance(value, str) else value or ()):
            path = (*self._path, *at, name) if isinstance(value, str) else (*self._path, *at, name, index)
            self._parsed(path, partial(check, text))

    def _parsed(self, path: Path, parse: Callable[[], Any]) -> Any:
        try:
            return parse()
        except InvalidReferenceError as error:
            self._document_fault(path, error.message, error.hint)
        except ValueError as error:
            self._document_fault(path, str(error), "")
        return None

    def _fault(self, path: Path, message: str) -> None:
        self._document_fault((*self._path, *path), message, "")

    def _document_fault(self, path: Path, message: str, hint: str) -> None:
        self._faults.append(self._document.fault(path, message, hint=hint))


def _tag_filter(tags: Mapping[str, Any]) -> TagFilter:
    def listed(name: str) -> tuple[str, ...]:
        value = tags.get(name) or ()
        return (value,) if isinstance(value, str) else tuple(value)

    return TagFilter(
        names=listed("names"),
        include=listed("include"),
        regex=listed("regex"),
        semver=listed("semver"),
        extract=listed("extract"),
        exclude=listed("exclude"),
        prereleases=tags.get("prereleases", False),
        newest=tags.get("newest"),
        newest_per=tags.get("newest_per"),
        max_age_seconds=parse_duration(tags["max_age"]) if "max_age" in tags else None,
        at_least=tags.get("at_least", 1),
        at_most=tags.get("at_most"),
    )


def _texts(value: object, path: Path) -> list[tuple[Path, str]]:
    if isinstance(value, str):
        return [(path, value)]
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, part in parts for found in _texts(part, (*path, name))]


def _compile(text: str) -> Any:
    try:
        return re2.compile(text, re2_options())
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"{text!r} is no RE2 expression: {reason}") from error


def _compile_extract(text: str) -> None:
    if _compile(text).groups != 1:
        raise ValueError(f"{text!r} needs exactly one group, which is the version")
