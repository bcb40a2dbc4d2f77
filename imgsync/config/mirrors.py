"""Documents of `mirrors.d` that fit the schema become mirrors; what no schema can say is checked here (design.md §2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from imgsync.config import templates
from imgsync.config.model import Concurrency, Destination, Mirror, Prune, Retry, Source, Timeouts
from imgsync.config.require import require_faults, require_of
from imgsync.config.yaml_reader import Document, Path
from imgsync.errors import FileError, InvalidReferenceError
from imgsync.filters.globs import compile_expression, compile_glob
from imgsync.filters.tags import TagFilter
from imgsync.filters.versions import parse_range
from imgsync.oci.spec.reference import is_repository_path, is_tag, parse_registry, parse_repository, parse_repository_path
from imgsync.text.units import parse_duration

_LONGEST_AGE_SECONDS = 100 * 366 * 86400.0
_BLOCKS = ("tags", "require", "concurrency", "timeouts", "retry")


class MirrorBuilder:
    """
    Checks, then builds, the mirrors of one folder. Faults gather in `faults`.

    Checking takes documents as they come, also those the schema has found at fault, and passes over what has the wrong
    type: so that everything wrong is told at once, and nothing twice. Building wants documents without any fault.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        """Take *documents* whose root is a mapping."""
        self._documents = [document for document in documents if isinstance(document.value, dict)]
        self.faults: list[FileError] = []

    def check(self) -> None:
        """Note every fault that no schema can tell."""
        self._check_defaults()
        names: dict[str, str] = {}
        for document in self._documents:
            self._check_variables(document)
            for path, entry in _entries(document):
                self._check_name(document, path, entry.get("name"), names)
                _Checks(document, path, entry, self.faults).check_mirror()

    def build(self) -> list[Mirror]:
        """Return every mirror in order, the folder's defaults applied."""
        defaults: Mapping[str, Any] = next((document.value["defaults"] for document in self._documents if "defaults" in document.value), {})
        return [_built(document, path, entry, defaults or {}) for document in self._documents for path, entry in _entries(document)]

    def _check_defaults(self) -> None:
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
            _Checks(document, ("defaults",), _mapping(document.value["defaults"]), self.faults).check_settings()

    def _check_name(self, document: Document, path: Path, name: object, names: dict[str, str]) -> None:
        if not isinstance(name, str):
            return
        if name in names:
            self.faults.append(document.fault((*path, "name"), f"the name {name!r} is taken", hint=f"first used at {names[name]}"))
        names.setdefault(name, f"{document.file}:{document.places[path][0]}")

    def _check_variables(self, document: Document) -> None:
        for path, text in _texts(document.value, ()):
            if "${" in text:
                hint = "put what varies, such as credentials, in registries.yaml"
                self.faults.append(document.fault(path, "variables are not read in mirrors.d", hint=hint))


class _Checks:
    """The checks of one mirror, or of the defaults, on values that may have any type."""

    def __init__(self, document: Document, path: Path, entry: Mapping[str, Any], faults: list[FileError]) -> None:
        self._document = document
        self._path = path
        self._entry = entry
        self._faults = faults

    def check_mirror(self) -> None:
        self._check_source(self._entry.get("source"))
        for index, entry in enumerate(_list(self._entry.get("destinations"))):
            self._check_destination((*self._path, "destinations", index), entry)
        self.check_settings()

    def check_settings(self) -> None:
        """Check what this entry itself says, whatever the defaults are."""
        tags = _mapping(self._entry.get("tags"))
        at: Path = ("tags",)
        self._each(at, tags, "names", _check_tag)
        self._each(at, tags, "include", compile_glob)
        self._each(at, tags, "exclude", compile_glob)
        self._each(at, tags, "regex", compile_expression)
        self._each(at, tags, "extract", _compile_extract)
        self._each(at, tags, "semver", parse_range)
        self._each((*at, "min_age"), _mapping(tags.get("min_age")), "except", compile_glob)
        self._each((), self._entry, "immutable", compile_glob)
        self._each(("prune",), _mapping(self._entry.get("prune")), "protect", compile_glob)
        self._each(at, tags, "max_age", _check_age)
        self._each(at, tags, "min_age", _check_age)
        self._each((*at, "min_age"), _mapping(tags.get("min_age")), "age", _check_age)
        for path, message, hint in require_faults(self._entry.get("require")):
            self._fault((*self._path, "require", *path), message, hint)
        at_least, at_most = tags.get("at_least"), tags.get("at_most")
        if isinstance(at_least, int) and isinstance(at_most, int) and at_least > at_most:
            self._fault((*self._path, *at, "at_most"), f"at_most {at_most} is less than at_least {at_least}")

    def _check_source(self, entry: object) -> None:
        path = (*self._path, "source")
        if isinstance(entry, str):
            self._try(path, partial(parse_repository, entry))
        if not isinstance(entry, dict):
            return
        registry = self._registry(path, entry)
        for index, text in enumerate(_list(entry.get("namespaces"))):
            self._check_namespace((*path, "namespaces", index), text)
        for index, text in enumerate(_list(entry.get("repositories"))):
            if isinstance(text, str):
                self._try((*path, "repositories", index), partial(parse_repository_path, text, registry=registry))
        self._each(("source",), entry, "exclude", compile_glob)
        if not entry.get("namespaces") and not entry.get("repositories"):
            self._fault(path, "neither namespaces nor repositories are named", 'name some; `namespaces: [""]` is the whole registry')

    def _check_destination(self, path: Path, entry: object) -> None:
        if isinstance(entry, str):
            host, _, namespace = entry.partition("/")
            self._try(path, partial(parse_registry, host))
            self._check_namespace(path, namespace)
        elif isinstance(entry, dict):
            self._registry(path, entry)
            self._check_namespace((*path, "namespace"), entry.get("namespace", ""))
            for name, check in (("repository", templates.check_repository_template), ("tag", templates.check_tag_template)):
                if isinstance(entry.get(name), str):
                    self._try((*path, name), partial(check, entry[name]))

    def _registry(self, path: Path, entry: Mapping[str, Any]) -> str:
        text = entry.get("registry")
        found = self._try((*path, "registry"), partial(parse_registry, text)) if isinstance(text, str) else None
        return found or ""

    def _check_namespace(self, path: Path, text: object) -> None:
        if isinstance(text, str) and text and not is_repository_path(text):
            self._fault(path, f"{text!r} is no namespace", "namespaces are repository paths: lower-case words joined by '/', '.', '_' or '-'")

    def _each(self, at: Path, block: Mapping[str, Any], name: str, check: Callable[[str], object]) -> None:
        value = block.get(name)
        for index, text in enumerate([value] if isinstance(value, str) else _list(value)):
            if isinstance(text, str):
                path = (*self._path, *at, name) if isinstance(value, str) else (*self._path, *at, name, index)
                self._try(path, partial(check, text))

    def _try(self, path: Path, parse: Callable[[], Any]) -> Any:
        try:
            return parse()
        except InvalidReferenceError as error:
            self._fault(path, error.message, error.hint)
        except ValueError as error:
            self._fault(path, str(error))
        return None

    def _fault(self, path: Path, message: str, hint: str = "") -> None:
        self._faults.append(self._document.fault(path, message, hint=hint))


def _built(document: Document, path: Path, entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> Mirror:
    destinations = tuple(_destination(one) for one in entry["destinations"])
    line = document.places[path][0]
    return Mirror(name=entry["name"], source=_source(entry["source"]), destinations=destinations, file=document.file, line=line, **_settings(entry, defaults))


def _source(entry: str | Mapping[str, Any]) -> Source:
    if isinstance(entry, str):
        found = parse_repository(entry)
        return Source(found.registry, repositories=(found.path,))
    registry = parse_registry(entry["registry"])
    paths = (parse_repository_path(text, registry=registry) for text in entry.get("repositories") or ())
    return Source(registry, tuple(entry.get("namespaces") or ()), tuple(dict.fromkeys(paths)), tuple(entry.get("exclude") or ()))


def _destination(entry: str | Mapping[str, Any]) -> Destination:
    if isinstance(entry, str):
        host, _, namespace = entry.partition("/")
        return Destination(parse_registry(host), namespace)
    return Destination(parse_registry(entry["registry"]), entry.get("namespace", ""), entry.get("repository", "{path}"), entry.get("tag", "{tag}"))


def _settings(entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**defaults, **entry}
    for block in _BLOCKS:
        merged[block] = {**(defaults.get(block) or {}), **(entry.get(block) or {})}
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
        "referrers": _referrers(merged.get("referrers", True)),
        "immutable": tuple(merged.get("immutable", ())),
        "prune": _prune(merged.get("prune", False)),
        "require": require_of(merged["require"]),
        "concurrency": Concurrency(**merged["concurrency"]),
        "timeouts": Timeouts(**{f"{name}_seconds": seconds for name, seconds in times.items()}),
        "retry": Retry(**retry),
    }


def _referrers(value: bool | list[str]) -> tuple[str, ...] | bool:
    return value if isinstance(value, bool) else tuple(value) or False


def _prune(value: bool | Mapping[str, Any]) -> Prune | None:
    if isinstance(value, bool):
        return Prune() if value else None
    return Prune(value.get("at_most", Prune().at_most), tuple(value.get("protect") or ()))


def _tag_filter(tags: Mapping[str, Any]) -> TagFilter:
    def listed(name: str) -> tuple[str, ...]:
        value = tags.get(name) or ()
        return (value,) if isinstance(value, str) else tuple(value)

    quarantine = tags.get("min_age")
    if isinstance(quarantine, str):
        quarantine = {"age": quarantine}
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
        min_age_seconds=parse_duration(quarantine["age"]) if quarantine else None,
        min_age_except=tuple(quarantine.get("except") or ()) if quarantine else (),
        at_least=tags.get("at_least", 1),
        at_most=tags.get("at_most"),
    )


def _texts(value: object, path: Path) -> list[tuple[Path, str]]:
    if isinstance(value, str):
        return [(path, value)]
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, part in parts for found in _texts(part, (*path, name))]


def _entries(document: Document) -> list[tuple[Path, Mapping[str, Any]]]:
    """Return the mirrors of *document* that are mappings, each with its path."""
    return [(("mirrors", index), entry) for index, entry in enumerate(_list(document.value.get("mirrors"))) if isinstance(entry, dict)]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _check_tag(text: str) -> None:
    if not is_tag(text):
        raise ValueError(f"{text!r} is no tag; tags are up to 128 letters, digits, '_', '.' and '-'")


def _check_age(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        # The schema's to tell.
        return
    if seconds > _LONGEST_AGE_SECONDS:
        raise ValueError(f"{text!r} is longer than a hundred years")


def _compile_extract(text: str) -> None:
    if compile_expression(text).groups != 1:
        raise ValueError(f"{text!r} needs exactly one group, which is the version")
