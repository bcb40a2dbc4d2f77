"""`imgsync runtime-config`: write what nodes need to pull from the mirror."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from imgsync.cli.options import complete_by, config_options, ignored_run_options, option, paths_argument
from imgsync.cli.output import get_redaction, print_line, print_note

if TYPE_CHECKING:
    from imgsync.errors import FileError

_RUNTIMES = ("containerd", "podman", "k3s", "talos", "openshift", "docker", "buildkit", "kyverno")
# More than this are only counted.
_MOST_NAMES = 5
_MOST_ALIKE = 3


@click.command("runtime-config")
@click.argument("runtime", type=click.Choice(_RUNTIMES), metavar="RUNTIME")
@paths_argument
@config_options
@ignored_run_options
# Not with `option`: IMGSYNC_OUT is the file of `plan`.
@click.option(
    "--out",
    envvar="IMGSYNC_RUNTIME_CONFIG_OUT",
    required=True,
    metavar="DIR",
    shell_complete=complete_by("complete_folder"),
    help="Write the files below DIR. A file that differs from the new one is never overwritten.",
)
@option("--digest-only", is_flag=True, help="Ask the mirror only for digests; tags come from the source.")
@option("--no-fallback", is_flag=True, help="Never ask the source, even if the mirror does not have an image.")
def command(runtime: str, paths: tuple[str, ...], registries: str | None, only: tuple[str, ...], out: str, digest_only: bool, no_fallback: bool) -> int:
    """
    Write what nodes need to pull from the mirror.

    RUNTIME is containerd, podman, k3s, talos, openshift, docker, buildkit or kyverno. The declarations say where each image is at its destinations.
    What RUNTIME cannot express is an error with its file and line: nothing is written, exit code 1. --only leaves out such a mirror. No login is
    ever written. Uses no network.
    """
    from imgsync.cli.config_errors import print_config_errors, print_config_warnings
    from imgsync.config.load import load_config
    from imgsync.errors import UsageError
    from imgsync.runtime_config.model import RuntimeOptions
    from imgsync.runtime_config.runtimes import build_runtime_config, check_options
    from imgsync.runtime_config.write_files import write_files
    from imgsync.text.sanitize import sanitize_short

    config = load_config(paths, registries=registries, environ=os.environ, only=only, needs_variables=False)
    if any(pattern.is_part for pattern in config.only):
        raise UsageError("runtime-config needs whole mirrors", hint="name only mirrors with --only, without a repository or tag")
    options = RuntimeOptions(digest_only, not no_fallback)
    check_options(runtime, options)
    built = build_runtime_config(runtime, config, options)
    refused = {error.path for error in built.errors}
    print_config_warnings(list(_merge_warnings(warning for warning in built.warnings if warning.path not in refused)))
    if built.errors:
        print_config_errors(built.errors, get_redaction())
        rest = [mirror.name for mirror in config.mirrors if not mirror.suspend and mirror.name not in refused]
        print_note(sanitize_short(_describe_rest(rest)))
        return 1
    for path in write_files(built.files, out):
        print_line(sanitize_short(path))
    for need in built.needs:
        print_note(sanitize_short(need))
    return 0


def _merge_warnings(warnings: Iterable[FileError]) -> Iterator[FileError]:
    """Yield *warnings*, one for many mirrors that share its text."""
    alike: dict[tuple[str, str], list[FileError]] = {}
    for warning in warnings:
        alike.setdefault((warning.message, warning.hint), []).append(warning)
    for some in alike.values():
        if len(some) <= _MOST_ALIKE:
            yield from some
        else:
            names = ", ".join(one.path for one in some[:_MOST_ALIKE])
            yield some[0]._replace(path=f"{names} and {len(some) - _MOST_ALIKE} more")


def _describe_rest(names: Sequence[str]) -> str:
    """Return what was written, nothing, and how to write the mirrors *names*."""
    if not names:
        return "Nothing was written."
    if len(names) > _MOST_NAMES:
        return f"Nothing was written. --only writes the other {len(names)} mirrors: name each of them, or use a glob."
    return f"Nothing was written. To write the rest: {' '.join(f'--only {name}' for name in names)}"
