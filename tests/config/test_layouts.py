"""`layouts` in registries.yaml: their names and paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsync.config.load import load_registries
from imgsync.oci.spec.reference import is_layout, parse_reference
from tests.config.test_registries import trust_faults


@pytest.mark.parametrize(
    ("layouts", "fault"),
    [
        ("{USB: {path: x}}", "2:10: layouts: invalid name 'USB' (write usb)"),
        ("{'5000': {path: x}}", "2:10: layouts: invalid name '5000'"),
        ('{usb: {path: "a\\0"}}', "2:23: layouts.usb.path: this is not a path: embedded null byte"),
        ("{usb: {path: x}, two: {path: ./y/../x}}", "2:39: layouts.two.path: this is the layout usb (a layout has one name; keep one of the two)"),
    ],
)
def test_layout_that_cannot_be_used_is_an_error(tmp_path, monkeypatch, layouts, fault):
    """Before anything is read or written."""
    monkeypatch.chdir(tmp_path)

    assert trust_faults(tmp_path, f"version: 1\nlayouts: {layouts}\n") == f"registries.yaml:{fault}"


def test_path_in_the_home_folder_is_that_of_the_user(tmp_path, monkeypatch):
    """As in a shell; a folder called `~` is not made."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "registries.yaml").write_text("version: 1\nlayouts: {usb: {path: ~/mirror}}\n")

    found = load_registries(str(tmp_path / "registries.yaml"), {})

    assert Path(found.layouts["usb"].path) == tmp_path / "mirror"


def test_host_with_a_port_is_no_layout():
    """A layout's name begins with a letter, a port has digits only."""
    reference = parse_reference("oci-layout:5000/app:1")

    assert (reference.repository.registry, is_layout(reference.repository.registry)) == ("oci-layout:5000", False)
    assert is_layout("oci-layout:usb")
