"""Check declarations for errors that the schema cannot find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from imgsync.config.document import Document, Path
from imgsync.config.reference_checks import check_destination, check_source
from imgsync.config.requirements import check_requirements
from imgsync.config.schedule import check_schedule
from imgsync.errors import FileError
from imgsync.filters.globs import check_repository_glob, check_tag_glob, compile_expression
from imgsync.oci.spec.platform import suggest_platform
from imgsync.oci.spec.reference import is_exact_name, is_tag
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


def check_variables(documents: Iterable[Document]) -> list[FileError]:
    """Return an error for each variable, which only registries.yaml may use."""
    hint = "move what varies, such as credentials, to registries.yaml"
    return [
        document.error(path, "variables are not supported in mirrors.d", hint=hint)
        for document in documents
        for path, text in _iter_texts(document.value, ())
        if "${" in text
    ]


class _FolderCheck:
    """The check of all documents of one folder."""

    def __init__(self, documents: list[Document]) -> None:
        self._documents = documents
        self.errors: list[FileError] = []

    def run(self) -> None:
        self._check_defaults()
        names: dict[str, str] = {}
        for document in self._documents:
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
        source = self._entry.get("source")
        self._add_problems(("source",), check_source(source))
        for name, check in _PATH_PATTERNS.items():
            self._each(("source",), _as_mapping(source), name, check)
        for index, entry in enumerate(_as_list(self._entry.get("destinations"))):
            self._add_problems(("destinations", index), check_destination(entry))
        self.check_settings()

    def check_settings(self) -> None:
        """Check the settings of this entry, apart from the defaults."""
        tags = _as_mapping(self._entry.get("tags"))
        at: Path = ("tags",)
        self._each(at, tags, "names", _check_exact_name)
        self._each(at, tags, "include", partial(_check_glob, "regex"))
        self._each(at, tags, "exclude", partial(_check_glob, "exclude_regex"))
        self._each(at, tags, "regex", partial(_check_expression, "include"))
        self._each(at, tags, "exclude_regex", partial(_check_expression, "exclude"))
        self._each(at, tags, "extract", _compile_extract)
        self._each(at, tags, "semver", _check_range)
        self._each((*at, "min_age"), _as_mapping(tags.get("min_age")), "except", check_tag_glob)
        self._each((), self._entry, "immutable", check_tag_glob)
        self._each(("prune",), _as_mapping(self._entry.get("prune")), "protect", check_tag_glob)
        self._each(at, tags, "max_age", _check_age)
        self._each(at, tags, "min_age", _check_age)
        self._each((*at, "min_age"), _as_mapping(tags.get("min_age")), "age", _check_age)
        self._add_problems(("require",), check_requirements(self._entry.get("require")))
        self._add_problems(("schedule",), check_schedule(self._entry.get("schedule")))
        self._check_platforms(_as_list(self._entry.get("platforms")))
        self._check_names(_as_list(tags.get("names")))
        if tags.get("order") == "date" and tags.get("newest_per") is not None:
            self._add_error((*self._path, *at, "newest_per"), "newest_per needs versions, not `order: date`")
        at_least, at_most = tags.get("at_least"), tags.get("at_most")
        if isinstance(at_least, int) and isinstance(at_most, int) and at_least > at_most:
            self._add_error((*self._path, *at, "at_most"), f"at_most {at_most} is less than at_least {at_least}")

    def _check_platforms(self, names: list[Any]) -> None:
        for index, text in enumerate(names):
            usual = suggest_platform(text) if isinstance(text, str) else ""
            if usual and usual != text:
                self._add_error((*self._path, "platforms", index), f"images do not use the name {text!r}", f"write {usual}")

    def _check_names(self, names: list[Any]) -> None:
        """Refuse a tag that is named twice and not alike."""
        first: dict[str, str] = {}
        for index, name in enumerate(names):
            tag = name.partition("@")[0] if isinstance(name, str) else ""
            if is_tag(tag) and first.setdefault(tag, name) != name:
                hint = f"keep one: {tag} copies what the tag is now, {tag}@sha256:… that digest"
                self._add_error((*self._path, "tags", "names", index), f"the tag {tag} is named twice, with different digests or without", hint)

    def _add_problems(self, at: Path, problems: Iterable[tuple[Path, str, str]]) -> None:
        for path, message, hint in problems:
            self._add_error((*self._path, *at, *path), message, hint)

    def _each(self, at: Path, block: Mapping[str, Any], name: str, check: Callable[[str], object]) -> None:
        value = block.get(name)
        for index, text in enumerate([value] if isinstance(value, str) else _as_list(value)):
            if isinstance(text, str):
                path = (*self._path, *at, name) if isinstance(value, str) else (*self._path, *at, name, index)
                self._try(path, partial(check, text))

    def _try(self, path: Path, parse: Callable[[], Any]) -> Any:
        try:
            return parse()
        except _HintedError as error:
            self._add_error(path, str(error), error.hint)
        except ValueError as error:
            self._add_error(path, str(error))
        return None

    def _add_error(self, path: Path, message: str, hint: str = "") -> None:
        self._errors.append(self._document.error(path, message, hint=hint))


class _HintedError(ValueError):
    """An error that says what to write instead."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


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
    if is_exact_name(text):
        return
    name, _, tag = text.rpartition(":")
    if name and is_tag(tag) and "@" not in text:
        raise _HintedError(f"invalid tag {text!r}", f"write {tag}; the repository belongs in `source`")
    if set("*?[^$") & set(text):
        raise _HintedError(f"invalid tag {text!r}", "a pattern belongs under `include` or `regex`")
    raise ValueError(f"invalid tag {text!r}; a tag has up to 128 letters, digits, '_', '.' and '-', and a digest may follow it: TAG@sha256:…")


def _check_glob(expressions: str, text: str) -> None:
    """Refuse a glob that matches nothing; an expression belongs under *expressions*."""
    try:
        check_tag_glob(text)
    except ValueError as error:
        if text.startswith("^") or text.endswith("$") or ".*" in text or "\\" in text:
            raise _HintedError(str(error), f"an expression belongs under `{expressions}`") from error
        raise


def _check_expression(globs: str, text: str) -> None:
    """Refuse an expression that matches nothing; a glob belongs under *globs*."""
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        raise _HintedError(f"{text!r} matches no tag", f"write {text[1:-1]} without slashes")
    try:
        compile_expression(text)
    except ValueError as error:
        if text.startswith(("*", "?")):
            raise _HintedError(str(error), f"a glob belongs under `{globs}`") from error
        if "(?!" in text or "(?=" in text or "(?<" in text:
            raise _HintedError(str(error), "RE2 cannot look ahead or behind; write a second expression under `exclude_regex`") from error
        raise


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
