"""Check that imgsync can load the converted files."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from pathlib import Path

from imgsync.config.load import load_config
from imgsync.config.schema_check import check_schema
from imgsync.config.yaml_reader import parse_documents
from imgsync.convert.conversion import Conversion
from imgsync.convert.format_yaml import format_mirror_files, format_registries
from imgsync.errors import ConfigError, FileError

_INDEX = re.compile(r"mirrors\[([0-9]+)\]")


def check_result(conversion: Conversion) -> None:
    """
    Load *conversion* as `imgsync validate` would.

    Raises:
        ConfigError: Entries of the input file have no valid counterpart.
    """
    errors = _check_mirrors(conversion) + _check_registries(conversion)
    if errors:
        raise ConfigError(tuple(dict.fromkeys(errors)))


def _check_mirrors(conversion: Conversion) -> list[FileError]:
    with tempfile.TemporaryDirectory(prefix="imgsync-") as folder:
        registries = Path(folder, "registries.yaml")
        registries.write_text("version: 1\n", encoding="utf-8")
        written = Path(folder, "mirrors.d")
        written.mkdir()
        for name, text in format_mirror_files(conversion).items():
            Path(written, name).write_text(text, encoding="utf-8")
        try:
            load_config([str(written)], registries=str(registries), environ=defaultdict(str))
        except ConfigError as error:
            return [_locate_in_input(one, conversion, str(written)) for one in error.errors]
    return []


def _locate_in_input(error: FileError, conversion: Conversion, folder: str) -> FileError:
    """Return *error* with its place in the input file."""
    name = _find_name(error)
    origin = next((one for one in conversion.mirrors if one.name == name), conversion.mirrors[0])
    # A line number in the hint refers to a temporary file, which the user never sees.
    hint = re.sub(re.escape(folder) + r"[^ :]*:[0-9]+", lambda _: "another entry", error.hint)
    return FileError(origin.file, origin.line, 1, error.path, f"{error.message}; imgsync cannot express this", hint)


def _find_name(error: FileError) -> str:
    """Return the name of the mirror that *error* is about."""
    index = _INDEX.match(error.path)
    if index is None:
        return error.path.rpartition(".")[0]
    documents, _ = parse_documents(Path(error.file).read_bytes(), file=error.file)
    return str(documents[0].value["mirrors"][int(index[1])]["name"])


def _check_registries(conversion: Conversion) -> list[FileError]:
    text = format_registries(conversion)
    if not text:
        return []
    documents, errors = parse_documents(text.encode(), file="registries.yaml")
    return errors + [error for document in documents for error in check_schema(document, "registries", secret=True)]
