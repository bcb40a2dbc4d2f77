"""Convert the files of one format and check the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imgsync.convert import image_syncer, skopeo_sync
from imgsync.convert.check_result import check_result
from imgsync.convert.conversion import Conversion, ConvertOptions
from imgsync.convert.formats import Format, choose_format
from imgsync.convert.input_file import Diagnostics, read_input_file
from imgsync.errors import ConfigError, FileError, UsageError


def convert_files(files: Sequence[str], *, source_format: str = "", options: ConvertOptions | None = None) -> Conversion:
    """
    Convert *files* to a valid configuration.

    Args:
        files: One file; for image-syncer also its two files, in any order.
        source_format: One of `NAMES`, "" to detect it.
        options: Options of the command line.

    Raises:
        ConfigError: The files, or the resulting configuration, have errors.
        UsageError: The format is unknown, or does not fit the other arguments.
    """
    options = options or ConvertOptions()
    diagnostics = Diagnostics()
    nodes = [read_input_file(file, diagnostics) for file in files]
    chosen = choose_format(nodes, source_format)
    _check_arguments(chosen, files, options)
    found = chosen.convert(nodes, options)
    if diagnostics.errors:
        raise ConfigError(tuple(dict.fromkeys(diagnostics.errors)))
    found = replace(found, remarks=tuple(sorted(set(diagnostics.remarks))))
    if not found.mirrors:
        raise _explain_empty(found, files[-1])
    check_result(found)
    return found


def _check_arguments(chosen: Format, files: Sequence[str], options: ConvertOptions) -> None:
    if len(files) > 1 and chosen.NAME != image_syncer.NAME:
        raise UsageError(f"{chosen.NAME} has one configuration file", hint="convert the files one by one; only image-syncer has two that belong together")
    if chosen.NAME != skopeo_sync.NAME and (options.destination or options.scoped):
        raise UsageError(f"--destination and --scoped are only for `skopeo sync`; a {chosen.NAME} file names its destinations")


def _explain_empty(conversion: Conversion, file: str) -> ConfigError:
    """Return an error with every line that was lost."""
    summary = FileError(file, 1, 1, "", "nothing in this file can be converted")
    return ConfigError((summary, *(FileError(one.file, one.line, one.column, one.path, one.message, one.hint) for one in conversion.remarks if one.lost)))
