"""Load files into one configuration, or report all their errors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from imgsync.config.accepted import NONE_ACCEPTED, AcceptedDocuments
from imgsync.config.cross_checks import check_allowlists, check_collisions, check_layouts, check_pins, check_signers
from imgsync.config.declared import DeclaredMirror
from imgsync.config.document import Document
from imgsync.config.files import is_config_file, list_files
from imgsync.config.mirror_checks import check_mirrors, check_variables
from imgsync.config.mirror_warnings import find_warnings
from imgsync.config.mirrors import build_mirrors
from imgsync.config.model import Config, Mirror, RegistriesConfig
from imgsync.config.only import parse_only, select_mirrors
from imgsync.config.registries import read_registries
from imgsync.config.yaml_reader import parse_documents, read_limited
from imgsync.errors import ConfigError, FileError

_DEFAULT_FILE = "registries.yaml"


def load_config(
    paths: Sequence[str],
    *,
    registries: str | None,
    environ: Mapping[str, str],
    only: Sequence[str] = (),
    needs_variables: bool = True,
    accepted: AcceptedDocuments = NONE_ACCEPTED,
) -> Config:
    """
    Load mirrors from *paths* and settings from *registries*.

    Args:
        paths: Folders or files.
        registries: The file of settings, if it is not the default one.
        environ: Where variables come from.
        only: What to select, as in `--only`; empty means all mirrors.
        needs_variables: Whether an unset variable that a mirror needs is an error. Else each one is a warning.
        accepted: Documents that their schema need not check again.

    Raises:
        ConfigError: With every error of every file.
        UsageError: A pattern of *only* names no mirror.
    """
    settings, errors = _read_registries(registries, environ, accepted)
    has_valid_registries = not errors
    files = list_files(paths, errors)
    declared = [one.with_names_of(settings) for one in _parse_mirrors(_read_files(files, errors), errors, accepted)]
    if declared:
        errors += check_allowlists(declared, settings)
        # Keys and layouts that could not be read are reported already.
        errors += [*check_signers(declared, settings), *check_layouts(declared, settings)] if has_valid_registries else ()
        errors += [*check_pins(declared), *check_collisions(declared)]
    elif not errors:
        errors.append(FileError(files[0], 1, 1, "mirrors", "no mirror declared", "`imgsync init DIR` writes an example"))
    if errors:
        raise ConfigError(tuple(dict.fromkeys(errors)))
    patterns = parse_only(only)
    mirrors = select_mirrors([one.mirror for one in declared], patterns)
    if needs_variables:
        settings.raise_if_unset(*_find_used_registries(mirrors))
    warnings = (*find_warnings(declared), *settings.warnings, *(error for unset in settings.unset.values() for error in unset))
    is_complete = not only and not _leaves_out_files(paths, files)
    return Config(tuple(mirrors), settings, tuple(files), is_complete=is_complete, warnings=warnings, only=patterns)


def _find_used_registries(mirrors: Iterable[Mirror]) -> Iterator[str]:
    for mirror in mirrors:
        if not mirror.suspend:
            yield from (mirror.source.registry, *(destination.registry for destination in mirror.destinations))


def load_mirrors(texts: Mapping[str, bytes]) -> tuple[Mirror, ...]:
    """
    Load the mirrors in *texts*, which maps file names to contents.

    Raises:
        ConfigError: With every error of every file.
    """
    errors: list[FileError] = []
    declared = _parse_mirrors(texts, errors)
    if errors:
        raise ConfigError(tuple(dict.fromkeys(errors)))
    return tuple(one.mirror for one in declared)


def _parse_mirrors(texts: Mapping[str, bytes], errors: list[FileError], accepted: AcceptedDocuments = NONE_ACCEPTED) -> list[DeclaredMirror]:
    documents: list[Document] = []
    for file, data in texts.items():
        found, wrong = parse_documents(data, file=file)
        documents += found
        errors += wrong
    schema_errors = [error for document in documents for error in accepted.check(document, "mirror", _check_schema)]
    # Each value has one error: that of its cause, which may make it invalid in other ways too.
    by_place: dict[tuple[str, int, int, str], FileError] = {}
    for error in (*check_variables(documents), *schema_errors, *check_mirrors(documents)):
        by_place.setdefault((error.file, error.line, error.column, error.path), error)
    errors += by_place.values()
    return [] if errors else build_mirrors(documents)


def _check_schema(document: Document) -> list[FileError]:
    # Imported now: most documents were accepted by an earlier run.
    from imgsync.config.schema_check import check_schema

    return check_schema(document, "mirror")


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


def _read_registries(
    registries: str | None, environ: Mapping[str, str], accepted: AcceptedDocuments = NONE_ACCEPTED
) -> tuple[RegistriesConfig, list[FileError]]:
    named = environ.get("IMGSYNC_REGISTRIES") or None if registries is None else registries
    if named is not None:
        return read_registries(named, environ=environ, accepted=accepted)
    # A link to a missing file is an error: without the file, nothing would be required.
    return read_registries(_DEFAULT_FILE, environ=environ, accepted=accepted) if os.path.lexists(_DEFAULT_FILE) else (RegistriesConfig(), [])


def _read_files(files: Iterable[str], errors: list[FileError]) -> dict[str, bytes]:
    texts: dict[str, bytes] = {}
    for file in files:
        try:
            texts[file] = read_limited(file)
        except OSError as error:
            errors.append(FileError(file, 0, 0, "", f"cannot be read: {error.strerror}"))
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
