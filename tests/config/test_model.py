"""Configuration values: secrets show nowhere."""

from __future__ import annotations

import copy
import json
import marshal
import pickle
from dataclasses import asdict

import pytest
import yaml

from imgsync.config.model import Login, RegistrySettings
from imgsync.config.secrets import Secret
from tests.support.canary import secrets_in


def test_secrets_are_hidden_in_every_form():
    """In none of the ways that values are printed."""
    secret = Secret("hunter22")

    assert "hunter22" not in f"{secret} {secret!r} {secret:>20} %s" % secret


SECRET = Secret("canary-SECRET")


@pytest.mark.row("CFG-08")
def test_secret_cannot_be_serialised():
    """Neither alone nor inside another value."""
    registry_settings = RegistrySettings(credentials=Login("me", SECRET))

    shown = [f"{one} {one!r} {one:>20} {one!s} {'%s %r' % (one, one)}" for one in (SECRET,)]  # noqa: UP031 - one of the ways
    shown += [
        repr(registry_settings),
        str(asdict(registry_settings)),
        json.dumps(asdict(registry_settings), default=str),
        str(copy.deepcopy(registry_settings)),
        yaml.dump([repr(registry_settings)]),
        repr([SECRET]),
    ]
    for how in (pickle.dumps, marshal.dumps, json.dumps, yaml.safe_dump, lambda value: yaml.dump(value, Dumper=yaml.Dumper)):
        with pytest.raises((TypeError, ValueError, yaml.YAMLError)):
            shown.append(str(how(SECRET)))
    with pytest.raises(TypeError):
        pickle.dumps(registry_settings)

    assert secrets_in(" ".join(shown)) == []
    assert not hasattr(SECRET, "__dict__")
    assert SECRET.reveal() == "canary-SECRET"
