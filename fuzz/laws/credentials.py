"""Check the places that credentials come from."""

from __future__ import annotations

from imgsync.errors import CredentialsError
from imgsync.oci.auth import auth_files
from imgsync.oci.auth import credential_helper as helper
from imgsync.oci.endpoint import Credentials


def logins(data: bytes) -> None:
    """
    Check docker's config file and the output of a credential helper.

    They give logins, or an error that quotes nothing from the input.
    """
    file = auth_files._parse(data, "config.json")
    assert "SECRET" not in file.warning
    for registry in ("r.corp.com", "docker.io", "quay.io:443"):
        found = file.find_login(registry, "team/app")
        assert found is None or (isinstance(found.username, str) and isinstance(found.password, str))
        # Output may show a user name, but never a password.
        assert found is None or "SECRET" in found.username or "SECRET" not in repr(found)
        assert isinstance(file.find_helper(registry), str)
    try:
        said = helper._parse(data, "docker-credential-x")
        assert said is None or (isinstance(said, Credentials) and isinstance(said.password, str))
    except CredentialsError as error:
        assert "SECRET" not in f"{error.message}{error.hint}"
