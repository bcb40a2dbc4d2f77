"""Load files into one configuration, or report all their errors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from imgsync.config.allowlist import get_fixed_prefix, is_allowed
from imgsync.config.mirror_checks import check_mirrors
from imgsync.config.mirrors import build_mirrors
from imgsync.config.model import Config, Mirror, RegistriesConfig
from imgsync.config.registries import read_registries
from imgsync.config.registry_names import name_registries
from imgsync.config.requirements import find_unknown_signers
from imgsync.config.schema_check import check_schema
from imgsync.config.templates import expand_repository, expand_tag
from imgsync.config.yaml_reader import Document, parse_documents, read_limited
from imgsync.errors import ConfigError, FileError, InvalidReferenceError, UsageError
from imgsync.filters.globs import compile_glob
from imgsync.filters.tags import has_only_names
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import Repository

_DEFAULT_FILE = "registries.yaml"
_PATH_HINT = "name a folder such as mirrors.d, or a file"


def load_config(paths: Sequence[str], *, registries: str | None, environ: Mapping[str, str], only: Sequence[str] = ()) -> Config:
    """
    Load mirrors from *paths* and settings from *registries*.

    *paths* are folders or files. *only* holds globs of mirror names; empty means all mirrors.

    Raises:
        ConfigError: With every error of every file.
        UsageError: A glob of *only* matches no mirror.
    """
    settings, errors = _read_registries(registries, environ)
    has_valid_registries = not errors
    files = _list_files(paths, errors)
    mirrors = [name_registries(mirror, settings) for mirror in _parse_mirrors(_read_files(files, errors), errors)]
    if mirrors:
        errors += _check_allowlists(mirrors, settings)
        # Keys that could not be read are reported already.
        errors += find_unknown_signers(mirrors, settings) if has_valid_registries else ()
        errors += [_make_pin_error(mirror) for mirror in mirrors if _has_pins_without_tag(mirror)]
        errors += _find_collisions(mirrors)
    elif not errors:
        errors.append(FileError(files[0], 1, 1, "mirrors", "no mirror declared", "see the examples in the README"))
    if errors:
        raise ConfigError(tuple(dict.fromkeys(errors)))
    return Config(tuple(_filter_mirrors(mirrors, only)), settings, tuple(files), is_complete=not only and not _leaves_out_files(paths, files))


def load_mirrors(texts: Mapping[str, bytes]) -> tuple[Mirror, ...]:
    """
    Load the mirrors in *texts*, which maps file names to contents.

    Raises:
        ConfigError: With every error of every file.
    """
    errors: list[FileError] = []
    mirrors = _parse_mirrors(texts, errors)
    if errors:
        raise ConfigError(tuple(dict.fromkeys(errors)))
    return tuple(mirrors)


def _parse_mirrors(texts: Mapping[str, bytes], errors: list[FileError]) -> list[Mirror]:
    documents: list[Document] = []
    for file, data in texts.items():
        found, wrong = parse_documents(data, file=file)
        documents += found
        errors += wrong
        errors += [error for document in found for error in check_schema(document, "mirror")]
    errors += check_mirrors(documents)
    return [] if errors else build_mirrors(documents)


def load_registries(registries: str | None, environ: Mapping[str, str]) -> RegistriesConfig:
    """
    Load the settings in *registries*, else IMGSYNC_REGISTRIES, else ./registries.yaml.

    Raises:
        ConfigError: With every error of the file.
    """
    settings, errors = _read_registries(registries, environ)
    if errors:
        raise ConfigError(tuple(errors))
    return settings


def _read_registries(registries: str | None, environ: Mapping[str, str]) -> tuple[RegistriesConfig, list[FileError]]:
    named = environ.get("IMGSYNC_REGISTRIES") or None if registries is None else registries
    if named is not None:
        return read_registries(named, environ=environ)
    # A link to a missing file is an error: without the file, nothing would be required.
    return read_registries(_DEFAULT_FILE, environ=environ) if os.path.lexists(_DEFAULT_FILE) else (RegistriesConfig(), [])


def _list_files(paths: Sequence[str], errors: list[FileError]) -> list[str]:
    found: list[str] = []
    for text in paths:
        try:
            found += _list_files_at(text, errors)
        except OSError as error:
            # The name is too long, or the folder may not be read.
            errors.append(FileError(text, 1, 1, "", f"cannot be read: {error.strerror}", _PATH_HINT))
    return list(dict.fromkeys(found))


def _list_files_at(text: str, errors: list[FileError]) -> list[str]:
    path = Path(text)
    if not path.is_dir():
        if path.exists():
            return [text]
        errors.append(FileError(text, 1, 1, "", "no such file or folder", _PATH_HINT))
        return []
    inside = sorted(str(one) for one in path.iterdir() if is_config_file(one.name) and not one.is_dir())
    wrong = [error for file in inside if (error := _check_file(path, file)) is not None]
    errors += wrong
    if not inside:
        errors.append(FileError(text, 1, 1, "", "no *.yaml or *.yml file in this folder", "see the examples in the README"))
    left_out = {error.file for error in wrong}
    return [file for file in inside if file not in left_out]


def _check_file(folder: Path, file: str) -> FileError | None:
    """
    Return an error if *file* is not a regular file inside *folder*.

    A pull request must not make imgsync read, and quote, other files.
    """
    try:
        target = Path(file).resolve(strict=True)
    except (OSError, RuntimeError):
        # A broken link or a loop; Python before 3.13 raises RuntimeError for a loop.
        target = None
    if target is not None and not target.is_relative_to(folder.resolve()):
        return FileError(file, 1, 1, "", "the link points outside the folder", "put the file itself here, or name it on the command line")
    if target is None or not target.is_file():
        return FileError(file, 1, 1, "", "not a regular file", "put the declarations themselves here")
    return None


def _read_files(files: Iterable[str], errors: list[FileError]) -> dict[str, bytes]:
    texts: dict[str, bytes] = {}
    for file in files:
        try:
            texts[file] = read_limited(file)
        except OSError as error:
            errors.append(FileError(file, 1, 1, "", f"cannot be read: {error.strerror}"))
    return texts


def _leaves_out_files(paths: Iterable[str], files: Iterable[str]) -> bool:
    """Return whether files beside the named ones may declare other mirrors."""
    taken = {Path(file).absolute() for file in files}
    try:
        folders = {Path(text).absolute().parent for text in paths if not Path(text).is_dir()}
        beside = [one for folder in folders for one in folder.iterdir() if is_config_file(one.name) and one.name != _DEFAULT_FILE and one.is_file()]
        return any(b"mirrors" in read_limited(str(one)) for one in beside if one not in taken)
    except OSError:
        # An unreadable file may declare anything.
        return True


def is_config_file(name: str) -> bool:
    """Return whether a file of this name in a folder is configuration."""
    return not name.startswith(".") and name.endswith((".yaml", ".yml"))


def _filter_mirrors(mirrors: Iterable[Mirror], only: Sequence[str]) -> list[Mirror]:
    mirrors = list(mirrors)
    kept: set[str] = set()
    for text in only:
        try:
            glob = compile_glob(text)
        except ValueError as error:
            raise UsageError(f"--only {text}: {error}") from error
        fitting = {mirror.name for mirror in mirrors if glob.fullmatch(mirror.name)}
        if not fitting:
            raise UsageError(f"--only {text}: no mirror has this name", hint=f"declared: {', '.join(mirror.name for mirror in mirrors)}")
        kept |= fitting
    return [mirror for mirror in mirrors if not only or mirror.name in kept]


def _check_allowlists(mirrors: Iterable[Mirror], registries: RegistriesConfig) -> list[FileError]:
    errors: list[FileError] = []
    for mirror in mirrors:
        sources = [f"{mirror.source.registry}/{path}".rstrip("/") for path in (*mirror.source.namespaces, *mirror.source.repositories)]
        targets = [get_fixed_prefix(destination) for destination in mirror.destinations]
        errors += _check_allowlist(mirror, "source", sources, registries.allowed_sources)
        errors += _check_allowlist(mirror, "destinations", targets, registries.allowed_destinations)
    return errors


def _check_allowlist(mirror: Mirror, setting: str, paths: Iterable[str], prefixes: tuple[str, ...] | None) -> list[FileError]:
    hint = f"allowed: {', '.join(prefixes or ()) or 'none'}; the operator of registries.yaml can allow more"
    refused = [path for path in paths if not is_allowed(prefixes, path)]
    return [FileError(mirror.file, mirror.line, 1, f"{mirror.name}.{setting}", f"{path} is not allowed by registries.yaml", hint) for path in refused]


def _has_pins_without_tag(mirror: Mirror) -> bool:
    """Return whether a digest is named without a tag to push."""
    return any(map(is_digest, mirror.tags.names)) and any("{" in destination.tag for destination in mirror.destinations)


def _make_pin_error(mirror: Mirror) -> FileError:
    digest = next(filter(is_digest, mirror.tags.names))
    hint = f"write it after the tag to push: TAG@{digest[:19]}…; or give each destination a `tag`"
    return FileError(mirror.file, mirror.line, 1, f"{mirror.name}.tags.names", f"the digest {digest} has no tag", hint)


def _find_collisions(mirrors: Iterable[Mirror]) -> list[FileError]:
    """
    Return an error for each destination tag with two sources.

    Only mirrors that list tags by name are checked; the others need a plan.
    """
    writers: dict[str, tuple[str, Mirror]] = {}
    errors: list[FileError] = []
    for mirror in mirrors:
        if mirror.suspend or not has_only_names(mirror.tags) or _has_pins_without_tag(mirror):
            continue
        for source, reference in _iter_named_references(mirror, errors):
            first, other = writers.setdefault(reference, (source, mirror))
            if first != source:
                hint = f"the mirror '{other.name}' at {other.file}:{other.line} copies {first} there; change one destination"
                errors.append(FileError(mirror.file, mirror.line, 1, f"{mirror.name}.destinations", f"{source} would be written to {reference}", hint))
    return errors


def _iter_named_references(mirror: Mirror, errors: list[FileError]) -> Iterable[tuple[str, str]]:
    for destination in mirror.destinations:
        for path in mirror.source.repositories:
            try:
                target = f"{destination.registry}/{expand_repository(destination, path, relative=path, registry=mirror.source.registry)}"
                for name in mirror.tags.names:
                    source = Repository(mirror.source.registry, path).with_name(name)
                    yield str(source), f"{target}:{expand_tag(destination, source.tag_or_digest)}"
            except InvalidReferenceError as error:
                errors.append(FileError(mirror.file, mirror.line, 1, f"{mirror.name}.destinations", error.message, error.hint))
