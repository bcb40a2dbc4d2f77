"""Files in, one configuration out, or every fault of all of them at once (design.md §2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from imgsync.config.allowlist import allows, fixed_part
from imgsync.config.mirrors import MirrorBuilder
from imgsync.config.model import Config, Mirror, RegistriesConfig
from imgsync.config.registries import read_registries
from imgsync.config.require import unknown_signers
from imgsync.config.schema_check import check_schema
from imgsync.config.templates import expand_repository, expand_tag
from imgsync.config.yaml_reader import Document, read_documents, read_some
from imgsync.errors import ConfigError, FileError, InvalidReferenceError, UsageError
from imgsync.filters.globs import compile_glob
from imgsync.filters.tags import has_only_names

_DEFAULT_FILE = "registries.yaml"
_NAME_ONE = "name a folder such as mirrors.d, or a file"


def load_config(paths: Sequence[str], *, registries: str | None, environ: Mapping[str, str], only: Sequence[str] = ()) -> Config:
    """
    Return the configuration in *paths* (folders or files) with the registry settings in *registries*, only the mirrors asked for.

    Raises:
        ConfigError: With every fault of every file.
        UsageError: A glob of *only* fits no mirror.
    """
    settings, faults = _registries(registries, environ)
    registries_are_valid = not faults
    files = _files(paths, faults)
    mirrors = _mirrors(_read(files, faults), faults)
    if mirrors:
        faults += _not_allowed(mirrors, settings)
        # Of keys that could not be read it is told already.
        faults += unknown_signers(mirrors, settings) if registries_are_valid else ()
        faults += _collisions(mirrors)
    elif not faults:
        faults.append(FileError(files[0], 1, 1, "mirrors", "no mirror is declared", "see the examples in the README"))
    if faults:
        raise ConfigError(tuple(dict.fromkeys(faults)))
    return Config(tuple(_only(mirrors, only)), settings, tuple(files), whole=not only and not _left_out(paths, files))


def load_mirrors(texts: Mapping[str, bytes]) -> tuple[Mirror, ...]:
    """
    Return the mirrors that files of these names and contents declare together.

    Raises:
        ConfigError: With every fault of every file.
    """
    faults: list[FileError] = []
    mirrors = _mirrors(texts, faults)
    if faults:
        raise ConfigError(tuple(dict.fromkeys(faults)))
    return tuple(mirrors)


def _mirrors(texts: Mapping[str, bytes], faults: list[FileError]) -> list[Mirror]:
    documents: list[Document] = []
    for file, data in texts.items():
        found, wrong = read_documents(data, file=file)
        documents += found
        faults += wrong
        faults += [fault for document in found for fault in check_schema(document, "mirror")]
    builder = MirrorBuilder(documents)
    builder.check()
    faults += builder.faults
    return [] if faults else builder.build()


def load_registries(registries: str | None, environ: Mapping[str, str]) -> RegistriesConfig:
    """
    Return the settings in *registries*, else in IMGSYNC_REGISTRIES, else in ./registries.yaml.

    Raises:
        ConfigError: With every fault in it.
    """
    settings, faults = _registries(registries, environ)
    if faults:
        raise ConfigError(tuple(faults))
    return settings


def _registries(registries: str | None, environ: Mapping[str, str]) -> tuple[RegistriesConfig, list[FileError]]:
    named = registries or environ.get("IMGSYNC_REGISTRIES")
    if named:
        return read_registries(named, environ=environ)
    return read_registries(_DEFAULT_FILE, environ=environ) if Path(_DEFAULT_FILE).exists() else (RegistriesConfig(), [])


def _files(paths: Sequence[str], faults: list[FileError]) -> list[str]:
    found: list[str] = []
    for text in paths:
        try:
            found += _files_at(text, faults)
        except OSError as error:
            # A name that is too long, a folder that others may not look into.
            faults.append(FileError(text, 1, 1, "", f"it cannot be read: {error.strerror}", _NAME_ONE))
    return list(dict.fromkeys(found))


def _files_at(text: str, faults: list[FileError]) -> list[str]:
    path = Path(text)
    if not path.is_dir():
        if path.exists():
            return [text]
        faults.append(FileError(text, 1, 1, "", "there is no such file or folder", _NAME_ONE))
        return []
    inside = sorted(str(one) for one in path.iterdir() if is_part(one.name) and not one.is_dir())
    wrong = [fault for file in inside if (fault := _no_part(path, file)) is not None]
    faults += wrong
    if not inside:
        faults.append(FileError(text, 1, 1, "", "the folder holds no *.yaml or *.yml file", "see the examples in the README"))
    left_out = {fault.file for fault in wrong}
    return [file for file in inside if file not in left_out]


def _no_part(folder: Path, file: str) -> FileError | None:
    """Return the fault of a *file* of *folder* that is not to be read: whoever proposes declarations must not have us read, and quote, other files."""
    try:
        target = Path(file).resolve(strict=True)
    except (OSError, RuntimeError):
        # It leads to nothing or, so says Python before 3.13 by a RuntimeError, to itself.
        target = None
    if target is not None and not target.is_relative_to(folder.resolve()):
        return FileError(file, 1, 1, "", "the link leads out of the folder", "put the file itself here, or name it on the command line")
    if target is None or not target.is_file():
        return FileError(file, 1, 1, "", "this is no regular file", "put the declarations themselves here")
    return None


def _read(files: Iterable[str], faults: list[FileError]) -> dict[str, bytes]:
    texts: dict[str, bytes] = {}
    for file in files:
        try:
            texts[file] = read_some(file)
        except OSError as error:
            faults.append(FileError(file, 1, 1, "", f"the file cannot be read: {error.strerror}"))
    return texts


def _left_out(paths: Iterable[str], files: Iterable[str]) -> bool:
    """Return whether beside a file that is named there is another, not named, that seems to declare mirrors."""
    taken = {Path(file).absolute() for file in files}
    try:
        folders = {Path(text).absolute().parent for text in paths if not Path(text).is_dir()}
        beside = [one for folder in folders for one in folder.iterdir() if is_part(one.name) and one.name != _DEFAULT_FILE and one.is_file()]
        return any(b"mirrors" in read_some(str(one)) for one in beside if one not in taken)
    except OSError:
        # What cannot be read may declare anything.
        return True


def is_part(name: str) -> bool:
    """Return whether a file of this name, in a folder that is named, is a part of the configuration."""
    return not name.startswith(".") and name.endswith((".yaml", ".yml"))


def _only(mirrors: Iterable[Mirror], only: Sequence[str]) -> list[Mirror]:
    mirrors = list(mirrors)
    kept: set[str] = set()
    for text in only:
        try:
            glob = compile_glob(text)
        except ValueError as error:
            raise UsageError(f"--only {text}: {error}") from error
        fitting = {mirror.name for mirror in mirrors if glob.fullmatch(mirror.name)}
        if not fitting:
            raise UsageError(f"--only {text}: no mirror has such a name", hint=f"there are: {', '.join(mirror.name for mirror in mirrors)}")
        kept |= fitting
    return [mirror for mirror in mirrors if not only or mirror.name in kept]


def _not_allowed(mirrors: Iterable[Mirror], registries: RegistriesConfig) -> list[FileError]:
    errors: list[FileError] = []
    for mirror in mirrors:
        sources = [f"{mirror.source.registry}/{path}".rstrip("/") for path in (*mirror.source.namespaces, *mirror.source.repositories)]
        targets = [fixed_part(destination) for destination in mirror.destinations]
        errors += _outside(mirror, "source", sources, registries.allowed_sources)
        errors += _outside(mirror, "destinations", targets, registries.allowed_destinations)
    return errors


def _outside(mirror: Mirror, setting: str, paths: Iterable[str], prefixes: tuple[str, ...] | None) -> list[FileError]:
    hint = f"allowed: {', '.join(prefixes or ()) or 'none'}; the operator of registries.yaml can allow more"
    place = f"{mirror.name}.{setting}"
    return [FileError(mirror.file, mirror.line, 1, place, f"{path} is not allowed by registries.yaml", hint) for path in paths if not allows(prefixes, path)]


def _collisions(mirrors: Iterable[Mirror]) -> list[FileError]:
    """Return a fault for each destination reference that names alone show to be written from different sources."""
    writers: dict[str, tuple[str, Mirror]] = {}
    faults: list[FileError] = []
    for mirror in mirrors:
        if mirror.suspend or not has_only_names(mirror.tags):
            continue
        for source, reference in _named(mirror, faults):
            first, other = writers.setdefault(reference, (source, mirror))
            if first != source:
                hint = f"{first} goes there too, by the mirror '{other.name}' at {other.file}:{other.line}; give one of them another destination"
                faults.append(FileError(mirror.file, mirror.line, 1, f"{mirror.name}.destinations", f"{source} would be written to {reference}", hint))
    return faults


def _named(mirror: Mirror, faults: list[FileError]) -> Iterable[tuple[str, str]]:
    for destination in mirror.destinations:
        for path in mirror.source.repositories:
            try:
                target = f"{destination.registry}/{expand_repository(destination, path, relative=path, registry=mirror.source.registry)}"
                for tag in mirror.tags.names:
                    yield f"{mirror.source.registry}/{path}:{tag}", f"{target}:{expand_tag(destination, tag)}"
            except InvalidReferenceError as error:
                faults.append(FileError(mirror.file, mirror.line, 1, f"{mirror.name}.destinations", error.message, error.hint))
