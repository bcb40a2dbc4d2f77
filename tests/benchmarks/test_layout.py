"""The benchmark of layouts reads archives that it makes itself."""

from __future__ import annotations

from benchmarks.layout import read_archive


def test_archive_of_few_members_is_read(tmp_path):
    """Its members are empty blobs."""
    line = read_archive(100, tmp_path / "archive")

    assert line.startswith("| 100 | 0 | ")
    assert line.endswith(" | read |")
