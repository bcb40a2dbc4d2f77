"""Check declarations for errors that the schema cannot find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from imgsync.config import templates
from imgsync.config.requirements import check_requirements
from imgsync.config.yaml_reader import Document, Path
from imgsync.errors import FileError, InvalidReferenceError
from imgsync.filters.globs import check_repository_glob, check_tag_glob, compile_expression
from imgsync.oci.spec.reference import is_exact_name, is_repository_path, parse_registry, parse_repository, parse_repository_path
from imgsync.text.units import parse_duration

_MAX_AGE_SECONDS = 100 * 366 * 86400.0


def check_mirrors(documents: Iterable[Document]) -> list[FileError]:
    """
    Return every error in *documents* that the schema cannot find.

    The documents may be invalid: values of a wrong type are skipped, because the schema reports them.
    """
    check = _FolderCheck([document for document in documents if isinstance(document.value, dict)])
    check.run()
    return check.errors


class _FolderCheck:
    """The check of all documents of one folder."""

    def __init__(self, documents: list[Document]) -> None:
        self._documents = documents
        self.errors: list[FileError] = []

    def run(self) -> None:
        self._check_defaults()
        names: dict[str, str] = {}
        for document in self._documents:
            self._check_variables(document)
            for path, entry in iter_mirror_entries(document):
                self._check_name(document, path, entry.get("name"), names)
                _MirrorCheck(document, path, entry, self.errors).check_mirror()

    def _check_defaults(self) -> None:
        found: Document | None = None
        for document in self._documents:
            if "defaults" not in document.value:
                continue
            if found is not None:
                first = found.keys[("defaults",)]
                hint = f"first at {found.file}:{first[0]}; keep one"
                self.errors.append(document.error(("defaults",), "defaults are declared twice", hint=hint, at_key=True))
                continue
            found = document
            _MirrorCheck(document, ("defaults",), _as_mapping(document.value["defaults"]), self.errors).check_settings()

    def _check_name(self, document: Document, path: Path, name: object, names: dict[str, str]) -> None:
        if not isinstance(name, str):
            return
        if name in names:
            self.errors.append(document.error((*path, "name"), f"duplicate name {name!r}", hint=f"first used at {names[name]}"))
        names.setdefault(name, f"{document.file}:{document.places[path][0]}")

    def _check_variables(self, document: Document) -> None:
        for path, text in _iter_texts(document.value, ()):
            if "${" in text:
                hint = "move what varies, such as credentials, to registries.yaml"
                self.errors.append(document.error(path, "variables are not supported in mirrors.d", hint=hint))


_PATH_PATTERNS: dict[str, Callable[[str], object]] = {
    "include": check_repository_glob,
    "regex": compile_expression,
    "exclude": check_repository_glob,
    "exclude_regex": compile_expression,
}


class _MirrorCheck:
    """Checks one mirror, or the defaults; values may have any type."""

    def __init__(self, document: Document, path: Path, entry: Mapping[str, Any], errors: list[FileError]) -> None:
        self._document = document
        self._path = path
        self._entry = entry
        self._errors = errors

    def check_mirror(self) -> None:
        self._check_source(self._entry.get("source"))
        for index, entry in enumerate(_as_list(self._entry.get("destinations"))):
            self._check_destination((*self._path, "destinations", index), entry)
        self.check_settings()

    def check_settings(self) -> None:
        """Check the settings of this entry, apart from the defaults."""
        tags = _as_mapping(self._entry.get("tags"))
        at: Path = ("tags",)
        self._each(at, tags, "names", _check_exact_name)
        self._each(at, tags, "include", check_tag_glob)
        self._each(at, tags, "exclude", check_tag_glob)
        self._each(at, tags, "regex", compile_expression)
        self._each(at, tags, "exclude_regex", compile_expression)
        self._each(at, tags, "extract", _compile_extract)
        self._each(at, tags, "semver", _check_range)
        self._each((*at, "min_age"), _as_mapping(tags.get("min_age")), "except", check_tag_glob)
        self._each((), self._entry, "immutable", check_tag_glob)
        self._each(("prune",), _as_mapping(self._entry.get("prune")), "protect", check_tag_glob)
        self._each(at, tags, "max_age", _check_age)
        self._each(at, tags, "min_age", _check_age)
        self._each((*at, "min_age"), _as_mapping(tags.get("min_age")), "age", _check_age)
        for path, message, hint in check_requirements(self._entry.get("require")):
            self._add_error((*self._path, "require", *path), message, hint)
        if tags.get("order") == "date" and tags.get("newest_per") is not None:
            self._add_error((*self._path, *at, "newest_per"), "newest_per needs versions, not `order: date`")
        at_least, at_most = tags.get("at_least"), tags.get("at_most")
        if isinstance(at_least, int) and isinstance(at_most, int) and at_least > at_most:
            self._add_error((*self._path, *at, "at_most"), f"at_most {at_most} is less than at_least {at_least}")

    def _check_source(self, entry: object) -> None:
        path = (*self._path, "source")
        if isinstance(entry, str):
            self._try(path, partial(parse_repository, entry))
        if not isinstance(entry, dict):
            return
        registry = self._check_registry(path, entry)
        for index, text in enumerate(_as_list(entry.get("namespaces"))):
            self._check_namespace((*path, "namespaces", index), text)
        for index, text in enumerate(_as_list(entry.get("repositories"))):
            if isinstance(text, str):
                self._try((*path, "repositories", index), partial(parse_repository_path, text, registry=registry))
        for name, check in _PATH_PATTERNS.items():
            self._each(("source",), entry, name, check)
            if name in {"include", "regex"} and entry.get(name) and not entry.get("namespaces"):
                self._add_error((*path, name), f"{name} without namespaces selects nothing", 'to search the whole registry, write `namespaces: [""]`')
        if not entry.get("namespaces") and not entry.get("repositories"):
            self._add_error(path, "expected namespaces or repositories", 'for the whole registry write `namespaces: [""]`')

    def _check_destination(self, path: Path, entry: object) -> None:
        if isinstance(entry, str):
            host, _, namespace = entry.partition("/")
            self._try(path, partial(parse_registry, host))
            self._check_namespace(path, namespace)
        elif isinstance(entry, dict):
            self._check_registry(path, entry)
            self._check_namespace((*path, "namespace"), entry.get("namespace", ""))
            for name, check in (("repository", templates.check_repository_template), ("tag", templates.check_tag_template)):
                if isinstance(entry.get(name), str):
                    self._try((*path, name), partial(check, entry[name]))

    def _check_registry(self, path: Path, entry: Mapping[str, Any]) -> str:
        text = entry.get("registry")
        found = self._try((*path, "registry"), partial(parse_registry, text)) if isinstance(text, str) else None
        return found or ""

    def _check_namespace(self, path: Path, text: object) -> None:
        if isinstance(text, str) and text and not is_repository_path(text):
            self._add_error(path, f"invalid namespace {text!r}", "a namespace is a repository path: lower-case words joined by '/', '.', '_' or '-'")

    def _each(self, at: Path, block: Mapping[str, Any], name: str, check: Callable[[str], object]) -> None:
        value = block.get(name)
        for index, text in enumerate([value] if isinstance(value, str) else _as_list(value)):
            if isinstance(text, str):
                path = (*self._path, *at, name) if isinstance(value, str) else (*self._path, *at, name, index)
                self._try(path, partial(check, text))

    def _try(self, path: Path, parse: Callable[[], Any]) -> Any:
        try:
            return parse()
        except InvalidReferenceError as error:
            self._add_error(path, error.message, error.hint)
        except ValueError as error:
            self._add_error(path, str(error))
        return None

    def _add_error(self, path: Path, message: str, hint: str = "") -> None:
        self._errors.append(self._document.error(path, message, hint=hint))


def iter_mirror_entries(document: Document) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield path and value of each well-formed mirror in *document*."""
    for index, entry in enumerate(_as_list(document.value.get("mirrors"))):
        if isinstance(entry, dict):
            yield ("mirrors", index), entry


def _iter_texts(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from _iter_texts(part, (*path, name))


def _as_mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _check_exact_name(text: str) -> None:
    if not is_exact_name(text):
        raise ValueError(f"invalid tag {text!r}; a tag has up to 128 letters, digits, '_', '.' and '-', and a digest may follow it: TAG@sha256:…")


def _check_range(text: str) -> None:
    from imgsync.filters.ranges import parse_range

    parse_range(text)


def _check_age(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        # The schema reports it.
        return
    if seconds > _MAX_AGE_SECONDS:
        raise ValueError(f"{text!r} is longer than a hundred years")


def _compile_extract(text: str) -> None:
    if compile_expression(text).groups != 1:
        raise ValueError(f"{text!r} needs exactly one group, for the version")
