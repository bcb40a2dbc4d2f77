"""Check configuration files, ours and those of other tools."""

from __future__ import annotations

import contextlib

from fuzz.laws.shared import make_folder
from imgsync.config.load import load_mirrors
from imgsync.config.registries import read_registries
from imgsync.config.yaml_reader import parse_documents
from imgsync.convert.conversion import ConvertOptions
from imgsync.convert.convert_files import convert_files
from imgsync.convert.format_yaml import format_mirror_files, format_registries
from imgsync.convert.formats import NAMES
from imgsync.convert.group_remarks import group_remarks
from imgsync.errors import ConfigError, InvalidReferenceError, UsageError
from imgsync.fmt.format_text import format_text
from imgsync.lock.read_lock import parse_lock
from imgsync.lock.write_lock import format_lock
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import parse_reference, parse_registry


def settings(data: bytes) -> None:
    """
    Check a file of mirrors.d or a registries.yaml.

    The result is mirrors with a declaration digest each, or registry settings that show no secret, or errors with their places.
    """
    if b"registries:" in data:
        _trust(data)
    else:
        _mirrors(data)


def _mirrors(data: bytes) -> None:
    try:
        found = load_mirrors({"mirrors.d/a.yaml": data})
    except ConfigError as error:
        assert error.errors
        for fault in error.errors:
            assert fault.line >= 1
            assert fault.column >= 1
            assert str(fault).isprintable()
        return
    for mirror in found:
        assert is_digest(mirror.declaration_digest)
    assert len({mirror.name for mirror in found}) == len(found)


def _trust(data: bytes) -> None:
    file = make_folder() / "registries.yaml"
    file.write_bytes(data)
    trust, faults = read_registries(str(file), environ={"USER": "me", "PASSWORD": "env-SECRET"})
    for fault in faults:
        assert fault.line >= 1
        assert str(fault).isprintable()
        assert "env-SECRET" not in str(fault)
    for registry, trusted in trust.by_host.items():
        assert parse_registry(registry) == registry
        assert "env-SECRET" not in repr(trusted.credentials) or (trusted.credentials and trusted.credentials.username == "env-SECRET")


def conversions(data: bytes) -> None:
    """
    Check the conversion of other tools' files.

    The result is files that imgsync itself can load, within its limits, or errors. Remarks are short lines.
    """
    first, _, text = data.partition(b"\n")
    name = first.decode("latin-1").strip("# ")
    file = make_folder() / "other-tool.yaml"
    file.write_bytes(text)
    variables = {"HARBOR": "harbor.corp.com", "P": "env-value", "REG": "r.corp.com"}
    options = ConvertOptions(destination="r.corp.com/mirror" if name == "skopeo-sync" else "", variables=variables)
    with contextlib.suppress(ConfigError, UsageError, InvalidReferenceError):
        found = convert_files([str(file)], source_format=name if name in NAMES else "", options=options)
        assert load_mirrors({path: text.encode() for path, text in format_mirror_files(found).items()})
        assert len(list(group_remarks(found.remarks))) <= len(found.remarks)
        format_registries(found)


def layouts(data: bytes) -> None:
    """
    Check the layout of `mirrors.d`.

    A file with the layout has the values of before, and does not change again. A file that cannot get it is an error.
    """
    with contextlib.suppress(ConfigError):
        text = format_text(data, file="a.yaml")
        assert format_text(text.encode(), file="a.yaml") == text
        before, after = (parse_documents(one, file="a.yaml")[0] for one in (data, text.encode()))
        assert [document.value for document in before] == [document.value for document in after]
        assert text.count("#") == data.decode("utf-8-sig").count("#")


def locks(data: bytes) -> None:
    """
    Check a lock file.

    Each image is a reference of our grammar, and what is written of the lock is read as the same; else each error has its place.
    """
    try:
        found = parse_lock(data, "mirrors.lock/a.yaml", "a")
    except ConfigError as error:
        assert error.errors
        for problem in error.errors:
            assert problem.line >= 0
            assert str(problem).isprintable()
        return
    images = list(found.images.values())
    for one in images:
        reference = parse_reference(one.reference)
        assert str(reference) == one.reference
        assert reference.digest == one.digest
    text = "".join(format_lock("a", found.declaration, images))
    again = parse_lock(text.encode(), "mirrors.lock/a.yaml", "a")
    assert [(one.image, one.digest) for one in again.images.values()] == [(one.image, one.digest) for one in images]
    assert "".join(format_lock("a", again.declaration, again.images.values())) == text
