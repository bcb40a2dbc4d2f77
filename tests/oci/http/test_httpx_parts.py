"""Most runs import only the errors and responses of httpx; the rest follows when it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
_PROGRAM = """
import json, sys
from imgsync.oci.http._httpx import httpx, import_clients

parts = {"httpx._client", "httpx._transports", "httpx._auth", "http.cookiejar", "urllib.request", "http.client"} & set(sys.modules)
error, stream, response = httpx.ConnectError, httpx.SyncByteStream, httpx.Response(200, headers={"A": "b"}, stream=httpx.ByteStream(b"body"))
body = response.read().decode()
import_clients()
import http.cookiejar, httpx as whole, urllib.request
print(json.dumps({
    "parts": sorted(parts),
    "body": body,
    "is_one": whole is httpx,
    "same": whole.ConnectError is error and whole.SyncByteStream is stream and issubclass(whole.ByteStream, stream),
    "cookies": whole._models.CookieJar is http.cookiejar.CookieJar,
    "proxies": whole._utils.getproxies is urllib.request.getproxies,
    "missing": [name for name in whole.__all__ if not hasattr(whole, name)],
    "rich": "rich" in sys.modules,
}))
with whole.Client(transport=whole.MockTransport(lambda request: whole.Response(200, headers={"Set-Cookie": "a=b"}))) as client:
    assert client.get("http://example.test").cookies["a"] == "b"
"""


def test_rest_of_httpx_follows_when_asked_for():
    """Errors and streams stay the same classes, and clients find what was left out."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "parts": [],
        "body": "body",
        "is_one": True,
        "same": True,
        "cookies": True,
        "proxies": True,
        "missing": [],
        "rich": False,
    }


def test_whole_httpx_that_is_loaded_already_is_used():
    """As a program does that uses both."""
    program = "import httpx as first\nfrom imgsync.oci.http._httpx import httpx, import_clients\nimport_clients()\nassert httpx is first"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
