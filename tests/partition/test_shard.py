"""Which shard a run is, as written or as CI systems say it."""

from __future__ import annotations

import pytest

from imgsync.partition.shard import Shard, parse_shard


@pytest.mark.parametrize(
    ("text", "environ", "shard"),
    [
        ("3/8", {}, Shard(3, 8)),
        ("1/1", {}, Shard(1, 1)),
        ("shared", {}, Shard()),
        ("auto", {"JOB_COMPLETION_INDEX": "0", "IMGSYNC_SHARDS": "4"}, Shard(1, 4)),
        ("auto", {"JOB_COMPLETION_INDEX": "3", "IMGSYNC_SHARDS": "4"}, Shard(4, 4)),
        ("auto", {"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "4"}, Shard(1, 4)),
        ("auto", {"CI_NODE_INDEX": "4", "CI_NODE_TOTAL": "4"}, Shard(4, 4)),
        ("auto", {"JOB_COMPLETION_INDEX": "", "CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "2"}, Shard(2, 2)),
    ],
)
def test_shard_is_found_as_written(text, environ, shard):
    """Kubernetes counts from 0, GitLab from 1."""
    assert parse_shard(text, environ) == shard


@pytest.mark.parametrize(
    ("text", "environ", "says"),
    [
        ("8", {}, "'8' is not a shard; write i/n as in 3/8, auto or shared"),
        ("0/8", {}, "0/8: there is no shard 0 of 8"),
        ("9/8", {}, "9/8: there is no shard 9 of 8"),
        ("1/0", {}, "1/0: the number of shards must be from 1 to 10,000, not 0"),
        ("1/99999", {}, "1/99999: the number of shards must be from 1 to 10,000, not 99999"),
        ("٣/8", {}, "'٣/8' is not a shard"),
        ("auto", {}, "neither JOB_COMPLETION_INDEX with IMGSYNC_SHARDS nor CI_NODE_INDEX with CI_NODE_TOTAL is set"),
        ("auto", {"JOB_COMPLETION_INDEX": "2"}, "IMGSYNC_SHARDS is not set; `auto` needs it"),
        ("auto", {"CI_NODE_INDEX": "2"}, "CI_NODE_TOTAL is not set; `auto` needs it"),
        ("auto", {"CI_NODE_INDEX": "x", "CI_NODE_TOTAL": "2"}, "CI_NODE_INDEX is 'x', not a number"),
        ("auto", {"CI_NODE_INDEX": "3", "CI_NODE_TOTAL": "2"}, "CI_NODE_INDEX and CI_NODE_TOTAL: there is no shard 3 of 2"),
        ("auto", {"JOB_COMPLETION_INDEX": "4", "IMGSYNC_SHARDS": "4"}, "JOB_COMPLETION_INDEX and IMGSYNC_SHARDS: there is no shard 5 of 4"),
    ],
)
def test_what_is_missing_is_said(text, environ, says):
    """In words that name the variable."""
    with pytest.raises(ValueError, match=f"^{says.replace('(', '.')}"):
        parse_shard(text, environ)
