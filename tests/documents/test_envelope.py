"""A file that is too large for a document is refused with what to do."""

from __future__ import annotations

import pytest

from imgsync.documents import envelope
from imgsync.errors import UsageError


def test_file_larger_than_any_document_is_refused(tmp_path, monkeypatch):
    """It is not read into memory, and the hint names the option that makes plans smaller."""
    monkeypatch.setattr(envelope, "LIMIT_BYTES", 100)
    path = tmp_path / "plan.json"
    path.write_text("x" * 101)

    with pytest.raises(UsageError, match="larger than 100 B") as caught:
        envelope.read_document(str(path))

    assert "--only" in caught.value.hint
