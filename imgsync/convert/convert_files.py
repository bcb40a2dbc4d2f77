"""Convert the files of one format and check the result."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from imgsync.config.model import Mirror
from imgsync.convert import image_syncer, skopeo_sync
from imgsync.convert.build_mirrors import assign_names, merge_mirrors
from imgsync.convert.check_result import check_result
from imgsync.convert.collisions import report_collisions
from imgsync.convert.conversion import Conversion, ConvertOptions
from imgsync.convert.formats import Format, choose_format
from imgsync.convert.input_file import Diagnostics, Node, read_input_file
from imgsync.convert.registry_settings import RegistryCollector
from imgsync.errors import ConfigError, FileError, UsageError


def convert_files(files: Sequence[str], *, source_format: str = "", options: ConvertOptions | None = None, taken_names: Collection[str] = ()) -> Conversion:
    """
    Convert *files* of one format to a valid configuration.

    Args:
        files: The files, in any order.
        source_format: One of `NAMES`, "" to detect it.
        options: Options of the command line.
        taken_names: Names that no mirror of the result may have.

    Raises:
        ConfigError: The files, or the resulting configuration, have errors.
        UsageError: The format is unknown, or does not fit the other arguments.
    """
    options = options or ConvertOptions()
    diagnostics = Diagnostics()
    nodes = [read_input_file(file, diagnostics) for file in files]
    chosen = choose_format(nodes, source_format)
    if chosen.NAME != skopeo_sync.NAME and (options.destination or options.scoped):
        raise UsageError(f"--destination and --scoped are only for `skopeo sync`; a {chosen.NAME} file names its destinations")
    diagnostics.tool = chosen.NAME
    registries = RegistryCollector()
    mirrors = _read_mirrors(chosen, nodes, options, registries)
    report_collisions(mirrors, diagnostics)
    entries = registries.list_entries()
    if diagnostics.errors:
        raise ConfigError(tuple(dict.fromkeys(diagnostics.errors)))
    merged = mirrors if chosen.HAS_NAMED_ENTRIES else merge_mirrors(mirrors)
    found = Conversion(chosen.NAME, tuple(assign_names(merged, taken_names)), entries, tuple(sorted(set(diagnostics.remarks))))
    if not found.mirrors:
        raise _explain_empty(found, nodes[-1].document.file)
    check_result(found)
    return found


def _read_mirrors(chosen: Format, nodes: list[Node], options: ConvertOptions, registries: RegistryCollector) -> list[Mirror]:
    # The two files of image-syncer belong together; any other file stands alone.
    groups = [nodes] if chosen.NAME == image_syncer.NAME else [[node] for node in nodes]
    return [mirror for group in groups for mirror in chosen.convert(group, options, registries)]


def _explain_empty(conversion: Conversion, file: str) -> ConfigError:
    """Return an error with every line that was lost."""
    summary = FileError(file, 1, 1, "", "nothing in this file can be converted")
    return ConfigError((summary, *(FileError(one.file, one.line, one.column, one.path, one.message, one.hint) for one in conversion.remarks if one.lost)))
