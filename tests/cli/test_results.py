"""A plan that could not be read again is not saved."""

from __future__ import annotations

import click
import pytest

from imgsync.cli.results import save_plan
from imgsync.config.model import Config, RegistriesConfig
from imgsync.documents import envelope
from imgsync.errors import OutputError
from imgsync.text.redaction import Redaction
from tests.support.plans import change, plan


def test_plan_larger_than_a_plan_file_is_not_saved(tmp_path, monkeypatch):
    """The error says so when it is made, not when it is to be applied."""
    monkeypatch.setattr(envelope, "LIMIT_BYTES", 100)
    path = tmp_path / "plan.json"

    with click.Context(click.Command("plan"), obj=Redaction()), pytest.raises(OutputError, match="at most 100 B") as caught:
        save_plan(plan(change()), Config((), RegistriesConfig()), str(path))

    assert "--only" in caught.value.hint
    assert not path.exists()
