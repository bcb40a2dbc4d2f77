"""What was written is read again by our own loader, so that a converted file passes `imgsync validate`, or is not written at all."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from pathlib import Path

from imgsync.config.load import load_config
from imgsync.config.schema_check import check_schema
from imgsync.config.yaml_reader import parse_documents
from imgsync.convert.model import Conversion
from imgsync.convert.writer import mirrors_text, registries_text
from imgsync.errors import ConfigError, FileError

_INDEX = re.compile(r"mirrors\[([0-9]+)\]")


def check(conversion: Conversion) -> None:
    """
    Return when our loader reads *conversion* without fault.

    Raises:
        ConfigError: With a fault for each entry of the converted file that has no valid counterpart.
    """
    faults = _mirror_faults(conversion) + _registries_faults(conversion)
    if faults:
        raise ConfigError(tuple(dict.fromkeys(faults)))


def _mirror_faults(conversion: Conversion) -> list[FileError]:
    with tempfile.TemporaryDirectory(prefix="imgsync-") as folder:
        mirrors, registries = Path(folder, "mirrors.yaml"), Path(folder, "registries.yaml")
        mirrors.write_text(mirrors_text(conversion), encoding="utf-8")
        registries.write_text("version: 1\n", encoding="utf-8")
        try:
            load_config([str(mirrors)], registries=str(registries), environ=defaultdict(str))
        except ConfigError as error:
            return [_moved(fault, conversion, folder) for fault in error.errors]
    return []


def _moved(fault: FileError, conversion: Conversion, folder: str) -> FileError:
    """Return *fault* at the entry of the converted file that it came from."""
    index = _INDEX.match(fault.path)
    name = fault.path.rpartition(".")[0]
    origin = conversion.mirrors[int(index[1])] if index is not None else next((one for one in conversion.mirrors if one.name == name), conversion.mirrors[0])
    # What names a file by its line speaks of the text we wrote.
    hint = re.sub(re.escape(str(Path(folder, "mirrors.yaml"))) + r":[0-9]+", lambda _: "another entry", fault.hint)
    return FileError(origin.file, origin.line, 1, fault.path, f"{fault.message}; imgsync cannot say this", hint)


def _registries_faults(conversion: Conversion) -> list[FileError]:
    text = registries_text(conversion)
    if not text:
        return []
    documents, faults = parse_documents(text.encode(), file="registries.yaml")
    return faults + [fault for document in documents for fault in check_schema(document, "registries", secret=True)]
