"""What a worker process does between its batches."""

from __future__ import annotations

import json
import signal

import pytest

from imgsync.config.model import Config, RegistriesConfig
from imgsync.documents.batch import encode_batch
from imgsync.text.redaction import Redaction
from tests.support.batches import batch


def test_worker_whose_batch_raised_an_error_still_drains(monkeypatch):
    """The broker gives the batch to another worker; this one is idle."""
    pytest.importorskip("celery")
    # Imported now: the extra may be missing.
    from imgsync.cli.worker_app import Worker

    class Failing:
        def run(self, *_arguments, **_options):
            raise ZeroDivisionError

    ends = []
    # Without a session, which would change how this process collects garbage.
    monkeypatch.setattr(Worker, "_find_runner", lambda *_: Failing())
    monkeypatch.setattr(signal, "raise_signal", ends.append)
    worker = Worker(lambda: Config((), RegistriesConfig()), {"grace": 5.0, "drain": -1.0}, Redaction())

    with pytest.raises(ZeroDivisionError):
        worker.carry_out(json.dumps(encode_batch(batch())), False)
    worker.end_when_idle()

    assert ends == [signal.SIGTERM]
