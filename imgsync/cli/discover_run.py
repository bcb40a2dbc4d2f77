"""Run `imgsync discover`: find, compare with declarations, print."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imgsync.cli.ci_log import write_annotations
from imgsync.cli.options import CommonOptions, parse_common_options
from imgsync.cli.output import choose_layout, get_redaction, print_json, print_note, print_table, print_text, write_wrapped
from imgsync.discover.charts import find_in_chart
from imgsync.discover.documents import SIZE_LIMIT
from imgsync.discover.find import find_images
from imgsync.discover.helm import HelmOptions
from imgsync.discover.kustomizations import find_in_kustomization
from imgsync.discover.model import Certainty, FoundImage, SkippedInput
from imgsync.errors import FileError, UsageError
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_count, format_timestamp

if TYPE_CHECKING:
    from imgsync.config.model import Config
    from imgsync.discover.coverage import Coverage
    from imgsync.oci.spec.reference import Reference

_UNCOVERED_EXIT = 2
# The limit of a file of mirrors.d.
_FILE_BYTES = 1 << 20


def run_discover(options: Mapping[str, Any]) -> int:
    """
    Find and print the images; return the exit code.

    Raises:
        UsageError: The options do not fit together.
        ConfigError: The declarations of `--covered-by` are invalid.
    """
    _check_options(options)
    common = replace(parse_common_options(dict(options)), state=None)
    config = _load_declarations(options, common)
    images, skipped = _find(options)
    coverage = None
    if config is not None:
        images = tuple(_rename(image, config) for image in images)
        coverage = _find_coverage(images, config, common, is_live=options["live"])
        _annotate_uncovered(coverage, images)
    _print(images, skipped, coverage, options, taken=frozenset(mirror.name for mirror in config.mirrors) if config is not None else frozenset())
    # Below a long table, where they are seen.
    _print_skipped(skipped)
    unresolved = [image for image in images if image.certainty is Certainty.UNRESOLVED] if options["strict"] else []
    if unresolved:
        places = format_count(len(unresolved), "place")
        write_wrapped(f"error: --strict: {places} with an incomplete name (give images a tag or digest, and variables a default)", get_redaction())
    return 1 if skipped or unresolved else _choose_exit(coverage)


def _check_options(options: Mapping[str, Any]) -> None:
    if options["live"] and not options["covered_by"]:
        raise UsageError("--live needs --covered-by", hint="name the declarations: --covered-by mirrors.d --live")


def _load_declarations(options: Mapping[str, Any], common: CommonOptions) -> Config | None:
    if not options["covered_by"]:
        return None
    from imgsync.config.load import load_config

    return load_config(options["covered_by"], registries=common.registries, environ=os.environ, needs_variables=options["live"])


def _find(options: Mapping[str, Any]) -> tuple[tuple[FoundImage, ...], tuple[SkippedInput, ...]]:
    """Return the images of all paths, and what could not be read."""
    helm = HelmOptions(options["values"], options["settings"], options["kube_version"])
    helm.check()
    found = [one for path in options["paths"] for one in _find_in_path(path, helm)]
    return tuple(one for one in found if isinstance(one, FoundImage)), tuple(one for one in found if isinstance(one, SkippedInput))


def _find_in_path(path: str, helm: HelmOptions) -> Iterator[FoundImage | SkippedInput]:
    program_path = os.environ.get("PATH", "")

    def read_chart(chart: str) -> Iterator[FoundImage | SkippedInput]:
        return find_in_chart(chart, helm, root=path, program_path=program_path)

    return find_images(
        [path],
        read_stdin=lambda: sys.stdin.buffer.read(SIZE_LIMIT + 1),
        read_chart=read_chart,
        read_kustomization=lambda folder: find_in_kustomization(folder, program_path=program_path),
    )


def _print_skipped(skipped: Sequence[SkippedInput]) -> None:
    from imgsync.render.annotations import annotate_file_errors
    from imgsync.render.config_errors import render_error

    errors = [FileError(one.file, one.line, 1 if one.line else 0, "", one.message, one.hint) for one in skipped]
    for error in errors:
        write_wrapped(f"error: {render_error(error)}", get_redaction())
    write_annotations(annotate_file_errors(errors), get_redaction())


def _annotate_uncovered(coverage: Sequence[Coverage], images: Sequence[FoundImage]) -> None:
    """Show each uncovered image beside the line that uses it."""
    from imgsync.discover.coverage import Covered
    from imgsync.render.annotations import annotate_file_errors

    first = {str(image.reference): image for image in reversed(images)}
    open_ones = [(one, first[str(one.reference)]) for one in coverage if one.covered is not Covered.YES and str(one.reference) in first]
    errors = [FileError(place.file, place.line, 1, "", f"{one.reference} is {one.covered}: {one.reason}", one.hint) for one, place in open_ones]
    write_annotations(annotate_file_errors(errors), get_redaction())


def _find_coverage(images: Sequence[FoundImage], config: Config, common: CommonOptions, *, is_live: bool) -> tuple[Coverage, ...]:
    from imgsync.discover.coverage import Declarations

    references = sorted({image.reference for image in images if image.reference is not None})
    declarations = Declarations(config.mirrors)
    found = tuple(declarations.find_coverage(reference) for reference in references)
    if not is_live:
        return found
    from imgsync.cli.session import open_session
    from imgsync.cli.waiting import show_requests
    from imgsync.discover.live_coverage import ask_destinations

    with open_session(config.registries, common, read_only=True) as session, show_requests(session, verb="Asking destinations"):

        def resolve(mirror: Any, target: Reference) -> str | None:
            client = session.registries.make_destination_client(target.repository.registry, mirror, check=session.stop.raise_if_requested)
            resolved = client.resolve(target)
            return None if resolved is None else resolved.digest

        return session.finish(lambda: ask_destinations(found, config.mirrors, resolve))


def _rename(image: FoundImage, config: Config) -> FoundImage:
    """Return *image* with the name that the declarations use for its registry."""
    reference = image.reference
    if reference is None:
        return image
    registry = config.registries.find_name(reference.repository.registry)
    return replace(image, reference=replace(reference, repository=replace(reference.repository, registry=registry)))


def _print(
    images: Sequence[FoundImage], skipped: Sequence[SkippedInput], coverage: Sequence[Coverage] | None, options: Mapping[str, Any], *, taken: Collection[str]
) -> None:
    if options["output"] == "json":
        from imgsync.documents.references import encode_references

        print_json(encode_references(images, skipped, coverage, created_at=format_timestamp(datetime.now(UTC))))
    elif options["output"] == "mirrors":
        _print_mirrors(images, coverage, options, taken=taken)
    else:
        from imgsync.render.references_table import render_coverage_table, render_references_table

        layout = choose_layout(sys.stdout)
        shown = render_references_table(images, layout=layout) if coverage is None else render_coverage_table(coverage, images, layout=layout)
        print_table(shown)


def _print_mirrors(images: Sequence[FoundImage], coverage: Sequence[Coverage] | None, options: Mapping[str, Any], *, taken: Collection[str]) -> None:
    """Print declarations of the images, with *coverage* only the uncovered ones."""
    from imgsync.discover.coverage import Covered
    from imgsync.discover.write_mirrors import parse_target, write_mirrors

    if coverage is not None:
        covered = {one.reference for one in coverage if one.covered is Covered.YES}
        images = [image for image in images if image.reference not in covered]
    written = write_mirrors(images, parse_target(options["destination"]), taken_names=taken)
    if written.text:
        print_text(written.text)
    for reference, reason in written.left_out:
        print_note(sanitize_short(f"left out: {reference}: {reason}"))
    unnamed = [image for image in images if image.reference is None]
    if unnamed:
        print_note(f"left out: {format_count(len(unnamed), 'unresolved image')}; `imgsync discover` without -o lists them")
    print_note(_describe_next(written.count, written.text, options["destination"]))


def _describe_next(mirrors: int, text: str, destination: str) -> str:
    if not mirrors:
        return "No mirror to declare."
    if len(text) > _FILE_BYTES:
        return f"{format_count(mirrors, 'mirror')}, more than one file may have: discover parts of PATH into several files of mirrors.d."
    return f"{format_count(mirrors, 'mirror')} to {destination} (--destination); review them with `imgsync plan`."


def _choose_exit(coverage: Sequence[Coverage] | None) -> int:
    if coverage is None:
        return 0
    from imgsync.discover.coverage import Covered

    return 0 if all(one.covered is Covered.YES for one in coverage) else _UNCOVERED_EXIT
