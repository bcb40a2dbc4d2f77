"""`imgsync discover`: find the images that files, charts and clusters use."""

from __future__ import annotations

from typing import Any

import click

from imgsync.cli.options import REGISTRIES_HELP, complete_by, option, output_option, run_options


@click.command("discover")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", shell_complete=complete_by("complete_file"))
@output_option("table", "json", "mirrors")
@option("-f", "--values", multiple=True, metavar="FILE", help="Values for Helm charts; repeatable.")
# Not with `option`: one variable cannot hold several.
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A value for Helm charts, as for `helm template`; repeatable.")
@option("--kube-version", metavar="VERSION", default="", help="Kubernetes version for Helm charts, such as 1.31. Default: helm's own.")
@option("--strict", is_flag=True, help="Exit 1 if an image is unresolved: a template, a variable, or no tag.")
@option("--covered-by", multiple=True, metavar="PATH", help="Exit 2 if these declarations, such as mirrors.d, do not select an image; repeatable.")
@option("--live", is_flag=True, help="With --covered-by: also ask the destinations whether they serve the images.")
@option("--destination", metavar="REGISTRY/NAMESPACE", default="registry.example.com/mirror", show_default=True, help="The destination in `-o mirrors`.")
@option("--registries", metavar="FILE", help=REGISTRIES_HELP)
@run_options
def command(**options: Any) -> int:
    """
    Find the images that manifests, charts and clusters use.

    PATH is a folder or a file: Kubernetes manifests, Helm charts, kustomizations, compose files, Dockerfiles, CI files of GitHub and GitLab, and
    Terraform; `-` is stdin, such as `kubectl get pods -A -o json`. Charts are rendered with helm, kustomizations with kubectl, without a network.

    Exit 1 if an input cannot be read. With --covered-by, exit 2 if an image is not covered, or its mirror's filters do not decide it.
    """
    from imgsync.cli.discover_run import run_discover

    return run_discover(options)
