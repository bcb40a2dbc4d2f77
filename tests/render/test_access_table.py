"""The table of `login-check`."""

from __future__ import annotations

from imgsync.registries.access import Access
from imgsync.render.access_table import render_access_table
from imgsync.text.layout import Layout


def access(mirror: str, repository: str, **fields: object) -> Access:
    """Return a push that is permitted."""
    values = {"username": "ci", "found_in": "registries.yaml", "reachable": True, "allowed": True, **fields}
    return Access("registry.example.com", "destination", mirror, "push", repository, **values)


def test_mirrors_with_equal_access_share_a_row():
    """The registry is named once, and counted once."""
    shown = render_access_table([access("base", "m/alpine"), access("kubernetes", "m/pause")])

    assert shown == (
        "  + registry.example.com (destination of base, kubernetes)   as ci from registries.yaml   may push m/alpine, m/pause\n1 registry checked: all good.\n"
    )


def test_row_fits_the_terminal():
    """A fact per line, errors with their hint."""
    refused = access("base", "m/alpine", allowed=False, error="push m/alpine: 403 " + "denied " * 9, hint="ask for the permission to push")
    lines = render_access_table([access("kubernetes", "m/pause"), refused], layout=Layout(60, is_terminal=True)).splitlines()

    assert lines == [
        "  + registry.example.com",
        "      destination of kubernetes",
        "      as ci from registries.yaml",
        "      may push m/pause",
        "  x registry.example.com",
        "      destination of base",
        "      as ci from registries.yaml",
        "      may not push m/alpine",
        "      push m/alpine: 403 denied denied denied denied denied",
        "        denied denied denied denied",
        "      hint: ask for the permission to push",
        "1 registry checked: 1 will fail.",
    ]
