"""Find the broker's address and login: option, variable, registries.yaml."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from imgsync.cli.output import get_redaction
from imgsync.config.model import BrokerSettings
from imgsync.errors import UsageError
from imgsync.fleet.broker_login import BrokerLogin
from imgsync.fleet.message_key import MessageKey
from imgsync.oci.http.url import find_url_secrets
from imgsync.text.extras import format_extra_hint

AUTO = "auto"
_REMEDY = "write the login into registries.yaml (broker: credentials:), or the whole URL into IMGSYNC_BROKER"


def find_broker(written: str, settings: BrokerSettings, *, is_argument: bool) -> BrokerLogin:
    """
    Return where the broker is, and the login of this machine.

    Args:
        written: The URL, or `auto` for that of registries.yaml.
        settings: What registries.yaml says.
        is_argument: Whether *written* is on the command line, which other users of the machine can read.

    Raises:
        UsageError: There is no URL, or it is not one of a broker, or has a login where others can read it.
    """
    key = _find_key(settings)
    url = settings.url if written == AUTO else written
    if url is None:
        raise UsageError("registries.yaml names no broker", hint="add `broker: {url: amqps://HOST/VHOST}`, or name it with --broker URL")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it raises for what is not a number
    except ValueError as error:
        raise UsageError("the broker's URL is not valid", hint="write amqps://HOST:PORT/VHOST") from error
    if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
        raise UsageError("the broker's URL does not begin with amqp:// or amqps:// and a host", hint="write amqps://HOST:PORT/VHOST")
    if parts.username is not None and is_argument:
        raise UsageError("--broker must not contain a login: other users of this machine can read command lines", hint=_REMEDY)
    if parts.username is not None:
        get_redaction().hide(find_url_secrets(url))
        return BrokerLogin(url, settings.tls, key)
    login = settings.credentials
    if login is None or (settings.url is not None and urlsplit(settings.url).netloc != parts.netloc):
        # The login of another broker is none of this one's business.
        return BrokerLogin(url, settings.tls, key)
    password = login.password.reveal()
    get_redaction().hide([password])
    return BrokerLogin(f"{parts.scheme}://{quote(login.username, safe='')}:{quote(password, safe='')}@{parts.netloc}{parts.path}", settings.tls, key)


def _find_key(settings: BrokerSettings) -> MessageKey:
    if settings.key is None:
        return MessageKey()
    secret = settings.key.reveal()
    get_redaction().hide([secret])
    return MessageKey(secret.encode())


def require_queue_extra() -> None:
    """
    Return if Celery is installed.

    Raises:
        UsageError: It is not.
    """
    import importlib.util

    if importlib.util.find_spec("celery") is None:
        raise UsageError("a fleet needs Celery, which is not installed", hint=format_extra_hint("queue"))
