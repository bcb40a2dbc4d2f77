"""
Debian's RabbitMQ as a process, with everything of its own.

One broker serves all workers of pytest: the first to need it starts it, the last to leave ends it. Its address on loopback and the port of its epmd come
from the process id of who starts it, so that no two of them meet; nothing looks for a free port.

Beside `/`, it has the virtual host `imgsync`, with the users and the permissions that docs/how-to/many-machines.md gives, reached by TLS alone.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import trustme

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_READY_SECONDS = 90.0
_END_SECONDS = 30.0
# Of each user of the fleet, and its key.
PASSWORD = "harness-password-of-the-broker-and-key"
PERMISSIONS = ("configure", "write", "read")
_PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "many-machines.md"
_CONFIG = """
listeners.tcp.1 = {host}:5672
listeners.ssl.1 = {host}:5671
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server-key.pem
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
load_definitions = {folder}/definitions.json
log.file = false
log.console = true
max_message_size = 16777216
"""


@dataclass(frozen=True)
class Broker:
    """A running broker: its folder, and what it listens at."""

    folder: Path
    host: str

    @property
    def url(self) -> str:
        """The URL, without the login `guest`, which AMQP clients assume."""
        return f"amqp://{self.host}:5672/"

    @property
    def tls_url(self) -> str:
        """The URL of the fleet's virtual host, which asks for a client certificate."""
        return f"amqps://{self.host}:5671/imgsync"

    @property
    def password_file(self) -> str:
        """The file with the password of the fleet's users."""
        return str(self.folder / "password")

    @property
    def tls(self) -> dict[str, str]:
        """The files of a client, as in registries.yaml."""
        return {"ca": str(self.folder / "ca.pem"), "cert": str(self.folder / "client.pem"), "key": str(self.folder / "client-key.pem")}

    def connect(self, user: str = "") -> Any:
        """Return a connection as `guest`, or as *user* to the fleet's virtual host."""
        # Imported now: tests/conftest.py imports this module, and only a fleet needs the extra.
        from kombu import Connection

        options = {"heartbeat": 0, "transport_options": {"confirm_publish": True}}
        if not user:
            return Connection(self.url, **options)
        ssl_options = {"ca_certs": self.tls["ca"], "certfile": self.tls["cert"], "keyfile": self.tls["key"], "cert_reqs": ssl.CERT_REQUIRED}
        return Connection(self.tls_url, userid=user, password=PASSWORD, ssl=ssl_options, **options)

    def count(self, queue: str) -> int:
        """Return how many messages wait in *queue*."""
        return int(self._look_at(queue).message_count)

    def count_consumers(self, queue: str) -> int:
        """Return how many workers consume from *queue*."""
        return int(self._look_at(queue).consumer_count)

    def _look_at(self, queue: str) -> Any:
        with self.connect() as connection:
            return connection.default_channel.queue_declare(queue=queue, passive=True)

    def put(self, queue: str, body: bytes) -> None:
        """Publish *body* to *queue*, as anybody with the right to write could."""
        with self.connect() as connection:
            connection.Producer(serializer=None).publish(body, exchange="", routing_key=queue, content_type="application/json", content_encoding="utf-8")

    def take(self, queue: str) -> list[bytes]:
        """Remove all messages from *queue* and return them raw."""
        found = []
        with self.connect() as connection:
            channel = connection.default_channel
            while (message := channel.basic_get(queue, no_ack=True)) is not None:
                found.append(message.body.encode() if isinstance(message.body, str) else bytes(message.body))
        return found


@contextlib.contextmanager
def shared_broker(folder: Path) -> Iterator[Broker]:
    """Yield the broker of *folder*, which all workers of one session use."""
    folder.mkdir(parents=True, exist_ok=True)
    users, lock = folder / "users", filelock.FileLock(folder / "lock")
    with lock:
        users.mkdir(exist_ok=True)
        if not any(users.iterdir()):
            (folder / "host").write_text(start(folder, os.getpid()).host)
        (users / str(os.getpid())).touch()
    broker = Broker(folder, (folder / "host").read_text())
    try:
        yield broker
    finally:
        with lock:
            (users / str(os.getpid())).unlink()
            if not any(users.iterdir()):
                stop(broker)


def start(folder: Path, number: int) -> Broker:
    """Start a broker in *folder*; return it once it accepts connections."""
    broker = Broker(folder, f"127.{64 + (number >> 16 & 63)}.{number >> 8 & 255}.{1 + number % 254}")
    address = broker.host.replace(".", ",")
    _write_certificates(broker)
    (folder / "password").write_text(PASSWORD)
    (folder / "definitions.json").write_text(json.dumps(_define_users()))
    (folder / "rabbitmq.conf").write_text(_CONFIG.format(host=broker.host, folder=folder))
    (folder / "advanced.config").write_text(f"[{{kernel,[{{inet_dist_use_interface,{{{address}}}}}]}}].\n")
    (folder / "enabled_plugins").write_text("[].\n")
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([PROGRAM], env=_environment(folder, number), stdout=log, stderr=log, start_new_session=True)
    (folder / "pid").write_text(str(process.pid))
    try:
        _wait_until_ready(broker, process)
    except BaseException:
        stop(broker)
        raise
    return broker


def read_permissions() -> dict[str, dict[str, str]]:
    """Return what each user may do, as the page says."""
    rows = re.findall(r"^\| (coordinator|worker) \| `(.*)` \| `(.*)` \| `(.*)` \|$", _PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {user: dict(zip(PERMISSIONS, (pattern.replace(r"\|", "|") for pattern in patterns), strict=True)) for user, *patterns in rows}


def _define_users() -> dict[str, Any]:
    """Return virtual hosts, users and permissions as RabbitMQ imports them."""
    everything = dict.fromkeys(PERMISSIONS, ".*")
    granted = [{"user": "guest", "vhost": "/", **everything}, *({"user": user, "vhost": "imgsync", **some} for user, some in read_permissions().items())]
    users = [{"name": one["user"], "password_hash": _hash("guest" if one["user"] == "guest" else PASSWORD), "tags": ""} for one in granted]
    return {"rabbit_version": "3.10.8", "vhosts": [{"name": "/"}, {"name": "imgsync"}], "users": users, "permissions": granted}


def _hash(password: str) -> str:
    salt = b"salt"
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _write_certificates(broker: Broker) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(broker.folder / "ca.pem"))
    for name, identity in (("server", broker.host), ("client", "fleet.example")):
        issued = authority.issue_cert(identity)
        (broker.folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(broker.folder / f"{name}-key.pem"))


def stop(broker: Broker) -> None:
    """End the broker and its epmd."""
    group = int((broker.folder / "pid").read_text())
    _end(group, signal.SIGTERM)
    _end(group, signal.SIGKILL)
    for process in Path("/proc").glob("[0-9]*"):
        # epmd leaves the session of who starts it; its environment names the folder.
        with contextlib.suppress(OSError):
            if b"epmd" in (process / "cmdline").read_bytes() and os.fsencode(f"HOME={broker.folder}\0") in (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


def _environment(folder: Path, number: int) -> dict[str, str]:
    names = {"MNESIA_BASE": "mnesia", "LOG_BASE": "logs", "CONFIG_FILE": "rabbitmq.conf", "ADVANCED_CONFIG_FILE": "advanced.config"}
    names |= {"ENABLED_PLUGINS_FILE": "enabled_plugins", "PID_FILE": "server.pid"}
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        # Below the ports that the kernel gives out by itself. RabbitMQ expects its own one to be free at every address.
        "ERL_EPMD_PORT": str(10_000 + 2 * (number % 10_000)),
        "RABBITMQ_DIST_PORT": str(10_001 + 2 * (number % 10_000)),
        "RABBITMQ_NODENAME": f"imgsync{number}@localhost",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-setcookie test{number} +S 2:2 +sbwt none",
        **{f"RABBITMQ_{name}": str(folder / file) for name, file in names.items()},
    }


def _wait_until_ready(broker: Broker, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _READY_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(Exception), broker.connect() as connection:
            connection.connect()
            return
        time.sleep(0.2)
    raise RuntimeError(f"RabbitMQ did not start: {(broker.folder / 'log').read_text()[-2000:]}")


def _end(group: int, number: int) -> None:
    """Send a signal to the processes of *group*, and wait for their end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
    ends = time.monotonic() + _END_SECONDS
    while time.monotonic() < ends:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(group, os.WNOHANG)
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
