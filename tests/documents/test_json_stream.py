"""A document in pieces is the same text as the whole document."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.documents import json_stream
from imgsync.documents.json_stream import Rows, iter_json, to_json
from imgsync.text.sanitize import sanitize_json

texts = st.text(max_size=6) | st.sampled_from(["##[error]x", "##vso[a]", "\n::stop::", "\u2028", "\x7f", "é"])
values = st.recursive(st.none() | st.integers() | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8)


@pytest.fixture(scope="module", params=[1, 1 << 16], ids=["small pieces", "large pieces"], autouse=True)
def pieces(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_PIECE", request.param)
        yield


@given(st.dictionaries(texts, values, max_size=4), st.lists(values, max_size=4), st.booleans(), st.booleans())
def test_text_is_that_of_the_whole_document(document, rows, indented, ascii_only):
    whole = json.dumps(
        document | {"rows": rows, "last": []}, indent=2 if indented else None, separators=None if indented else (",", ":"), ensure_ascii=ascii_only
    )

    found = list(iter_json(document | {"rows": Rows(lambda: rows), "last": []}, indented=indented, ascii_only=ascii_only, end="\n"))

    assert "".join(found) == f"{sanitize_json(whole)}\n"


def test_empty_and_plain_documents_are_written():
    assert [to_json(one, indented=True) for one in ({}, [], [1], {"a": Rows(list)})] == ["{}", "[]", "[\n  1\n]", '{\n  "a": []\n}']
