"""
Call Amazon's API for ECR.

Needs boto3, the extra `imgsync-mirror[ecr]`, which finds its credentials as the AWS command line does.
"""

from __future__ import annotations

import base64
import importlib.util
import re
from typing import Any

from imgsync.errors import (
    AccessDeniedError,
    AuthenticationError,
    CredentialsError,
    NotFoundError,
    RateLimitedError,
    RegistryError,
    RejectedError,
    UnreachableError,
)
from imgsync.oci.endpoint import Credentials
from imgsync.oci.errors import Operation
from imgsync.system.dataclass import dataclass
from imgsync.text.extras import format_extra_hint
from imgsync.text.sanitize import sanitize_message

PUBLIC_ECR = "public.ecr.aws"
_HOST = re.compile(r"(?P<account>[0-9]{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)")
_KINDS: dict[str, type[RegistryError]] = {
    "AccessDeniedException": AccessDeniedError,
    "UnrecognizedClientException": AuthenticationError,
    "InvalidSignatureException": AuthenticationError,
    "ExpiredTokenException": AuthenticationError,
    "RepositoryNotFoundException": NotFoundError,
    "ThrottlingException": RateLimitedError,
    "TooManyRequestsException": RateLimitedError,
    "ServerException": UnreachableError,
}


def is_ecr(registry: str) -> bool:
    """Return whether *registry* is a private ECR registry."""
    return _HOST.fullmatch(registry) is not None


def has_boto3() -> bool:
    """Return whether boto3 is installed."""
    return importlib.util.find_spec("boto3") is not None


@dataclass(frozen=True, slots=True)
class Aws:
    """The ECR of one account; `url` replaces the address of AWS's API."""

    registry: str
    origin: str
    url: str | None = None

    def create_repository(self, path: str) -> None:
        """
        Create the repository *path* unless it exists.

        Raises:
            RegistryError: The account lacks permission, or the API fails.
        """
        operation = Operation("create the repository", f"{self.registry}/{path}", self.origin)
        try:
            self.call(operation, "create_repository", repositoryName=path)
        except RejectedError as error:
            if error.code != "RepositoryAlreadyExistsException":
                raise

    def log_in(self) -> Credentials:
        """
        Return credentials that are valid for twelve hours.

        Raises:
            CredentialsError: AWS gives none.
        """
        operation = Operation("log in to", self.registry, self.origin)
        try:
            response = self.call(operation, "get_authorization_token")
            username, _, password = base64.b64decode(response["authorizationData"][0]["authorizationToken"]).decode().partition(":")
        except (RegistryError, KeyError, IndexError, ValueError) as error:
            raise CredentialsError(f"AWS gives no credentials for {self.registry}: {error}", hint="check the AWS credentials of this machine") from error
        return Credentials(username, password, "AWS", renewable=True)

    def call(self, operation: Operation, call: str, **arguments: Any) -> dict[str, Any]:
        """
        Make one API call, such as "describe_images", and return the response.

        Raises:
            RegistryError: AWS refuses, or boto3 is not installed.
        """
        client, errors = self._client(operation)
        account = _HOST.fullmatch(self.registry)
        own = {"registryId": account["account"]} if account is not None and call != "get_authorization_token" else {}
        try:
            return dict(getattr(client, call)(**own, **arguments))
        except errors.ClientError as error:
            details = error.response.get("Error", {})
            code = sanitize_message(str(details.get("Code", "")))
            kind = _KINDS.get(code, RejectedError)
            raise operation.make_error(kind, sanitize_message(str(details.get("Message", ""))), code=code) from error
        except errors.BotoCoreError as error:
            raise operation.make_error(
                UnreachableError, sanitize_message(str(error)), hint="check the region and credentials of the AWS command line"
            ) from error

    def _client(self, operation: Operation) -> tuple[Any, Any]:
        try:
            import boto3  # noqa: PLC0415 - an extra, and slow to import
            import botocore.config  # noqa: PLC0415
            import botocore.exceptions  # noqa: PLC0415
        except ImportError as error:
            raise operation.make_error(
                RejectedError, "ECR needs boto3, which is not installed", hint=f"{format_extra_hint('ecr')}; or name the repositories"
            ) from error
        found = _HOST.fullmatch(self.registry)
        config = botocore.config.Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard", "max_attempts": 4})
        session = boto3.session.Session(region_name=found["region"] if found is not None else None)
        try:
            return session.client("ecr", endpoint_url=self.url, config=config), botocore.exceptions
        except botocore.exceptions.BotoCoreError as error:
            raise operation.make_error(UnreachableError, sanitize_message(str(error)), hint="set AWS_DEFAULT_REGION") from error
