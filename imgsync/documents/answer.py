"""
imgsync.outcomes/v1: what a worker of a fleet did with a batch.

Its part `outcome` is that of a shard, and is checked as one. It comes from a queue that others may write to: the coordinator believes of it what the
batch allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from imgsync.apply.batch import WHOLE, Answer
from imgsync.documents.decode import decode_field
from imgsync.documents.envelope import check_format, name_damage
from imgsync.documents.outcome import decode_shard_outcome, encode_shard_outcome

FORMAT = "imgsync.outcomes/v1"
_NAME = "the message"
_RUN = re.compile(r"[0-9a-f]{32}")
_WORKER = re.compile(r"[\w.@:-]{1,255}", re.ASCII)


def encode_answer(answer: Answer) -> dict[str, Any]:
    """Return *answer* as a document."""
    return {
        "format": FORMAT,
        "run": answer.run,
        "batch": answer.batch,
        "worker": answer.worker,
        "refused": answer.refused or None,
        "outcome": encode_shard_outcome(answer.done),
    }


def decode_answer(document: Mapping[str, Any]) -> Answer:
    """
    Return the answer in *document*.

    Raises:
        UsageError: It is not an answer, is damaged, or another version of imgsync wrote it.
    """
    check_format(document, FORMAT, name=_NAME)
    with name_damage("answer", name=_NAME):
        answer = Answer(
            run=decode_field(document, "run", str),
            batch=decode_field(document, "batch", int),
            worker=decode_field(document, "worker", str),
            refused=decode_field(document, "refused", str | None) or "",
            done=decode_shard_outcome(decode_field(document, "outcome", dict[str, Any]), name=_NAME),
        )
        if not _RUN.fullmatch(answer.run) or not _WORKER.fullmatch(answer.worker) or answer.batch < 0 or answer.done.shard != WHOLE:
            raise ValueError("it does not name its run, batch and worker")
    return answer
