"""`imgsync bundle`: carry images across an air gap."""

from __future__ import annotations

import click

from imgsync.cli.bundle_create import create_bundle
from imgsync.cli.bundle_load import load_bundle, verify_bundle
from imgsync.cli.groups import Group


@click.group("bundle", cls=Group)
def command() -> None:
    """Carry images to a network that nothing outside can reach."""


for _command in (create_bundle, verify_bundle, load_bundle):
    command.add_command(_command)
