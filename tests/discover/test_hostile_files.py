"""Files that are made to hang, to fill the memory, or to have secrets printed."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from imgsync.discover.kubernetes import find_in_documents
from imgsync.discover.model import FoundImage, SkippedInput
from imgsync.discover.readers import find_in_data
from tests.discover.finds import brief, skipped
from tests.support.effort import effort

LONG = 100_000
# Each with the name of its file; what a reader with a careless expression or a copy per line would hang on.
SLOW = {
    "a flag": ("a.yaml", "args: ['" + "image" * LONG + "']\n"),
    "spaces after a flag": ("a.yaml", "args: ['--image" + " " * LONG + "']\n"),
    "slashes": ("a.yaml", "args: ['" + "a.b/" * LONG + ":1']\n"),
    "dashes before a field": ("a.yaml", "text: |\n  " + "-" * LONG + "image\n"),
    "a field without its end": ("a.yaml", "text: |\n  x\n  " + "image" * LONG + "\n"),
    "a long name": ("a.yaml", "image: " + "a" * LONG + "\n"),
    "variables": ("compose.yaml", "services:\n  a: {image: '" + "${A:-" * LONG + "'}\n"),
    "variables that grow": ("Dockerfile", "ARG A0=xxxxxxxx\n" + "".join(f"ARG A{n}=$A{n - 1}$A{n - 1}\n" for n in range(1, 60)) + "FROM $A59\n"),
    "arguments": ("Dockerfile", "".join(f"ARG A{n}=1\n" for n in range(20_000)) + "FROM a:$A7\n"),
    "heredocs": ("Dockerfile", "RUN " + "<<A " * 20_000 + "\n" + "x\n" * 20_000),
    "continued lines": ("Dockerfile", "RUN a \\\n" * 50_000),
    "expressions": ("a.yaml", "jobs: {a: {runs-on: x, container: '${{" + " " * LONG + "'}}\n"),
    "a matrix": (
        "a.yaml",
        "jobs: {a: {runs-on: x, container: '${{matrix.a1}}', strategy: {matrix: {" + ",".join(f"a{n}: [1,2,3]" for n in range(2000)) + "}}}}\n",
    ),
    "jobs that extend each other": (
        ".gitlab-ci.yml",
        "".join(f"j{n}: {{extends: [{','.join(f'j{m}' for m in range(60))}], image: 'a:$B', script: []}}\n" for n in range(60)),
    ),
    "objects of JSON": ("a.json", '{"items": []}' * 10_000),
    "many images": ("a.yaml", "images:\n" + "".join(f"  a{n}: quay.io/a/b:{n}\n" for n in range(5_000))),
    "texts within texts": ("a.yaml", "a: " + "".join(f"|\n{' ' * n}image: " for n in range(1, 60)) + "b\n"),
    "blank lines of Terraform": ("main.tf", "a = <<E\n" + "\n" * LONG),
    "conditions of Terraform": ("main.tf", "a = " + "true ? " * 1000 + "1" + " : 2" * 1000 + "\n"),
}


@pytest.mark.row("DISC-09")
@pytest.mark.parametrize("name", SLOW)
def test_file_that_is_made_to_hang_is_read_in_time(name):
    """A second or two for each; thirty on any machine."""
    file, text = SLOW[name]
    began = time.process_time()

    for one in find_in_data(text.encode(), file=file):
        assert isinstance(one, FoundImage | SkippedInput)

    assert time.process_time() - began < 30


@pytest.mark.row("DISC-08")
@pytest.mark.parametrize("depth", [120, 900, 5000])
@pytest.mark.parametrize(
    ("file", "opening", "closing"), [("a.json", '{"a":', "}"), ("a.json", "[", "]"), ("a.yaml", "[", "]"), ("a.yaml", "{a: ", "}"), ("a.tf", "[", "]")]
)
def test_deep_nesting_is_skipped_with_a_reason(file, opening, closing, depth):
    """No traceback, whatever limit is reached first."""
    value = f'{opening * depth}"quay.io/a/b:1"{closing * depth}'
    text = {"a.json": f'{{"a": {value}}}', "a.yaml": f"a: {value}\n", "a.tf": f"a = {value}\n"}[file]

    found = list(find_in_data(text.encode(), file=file))

    assert [one.message for one in skipped(found)] != []


@pytest.mark.row("DISC-08")
@pytest.mark.parametrize("find", [find_in_data, find_in_documents])
def test_deep_text_within_a_document_hides_no_other(find):
    """A file and a rendered chart are read alike."""
    deep = f"kind: ConfigMap\ndata:\n  a: |\n    image: quay.io/a/b:1\n    x: {'[' * 99}{']' * 99}\n"

    found = list(find(f"{deep}---\nimage: quay.io/a/b:2\n".encode(), file="a.yaml"))

    assert [(one.line, one.message) for one in skipped(found)] == [(1, "nested deeper than 100 levels")]
    assert brief(found) == [("quay.io/a/b:2", "likely", 7)]


@pytest.mark.row("DISC-11")
def test_secrets_are_not_read():
    """Neither the data of a Secret nor a copy of it in a list is searched."""
    text = "kind: List\nitems:\n  - kind: Secret\n    stringData: {image: 'quay.io/a/b:1', password: 'registry.example.com/p4ss:word'}\n"

    assert list(find_in_data(text.encode(), file="a.yaml")) == []


@pytest.mark.row("DISC-10")
@pytest.mark.parametrize("name", ["a.yaml", "Dockerfile", "main.tf", "picture.png"])
def test_binary_file_is_skipped_with_a_reason(name):
    """Whatever its name says."""
    (one,) = find_in_data(b"image: nginx:1\nFROM nginx:1\n\0\x01\x02", file=name)

    assert skipped([one])


DEPLOYMENT = """---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-{number}
  namespace: shop
  labels: {{app.kubernetes.io/name: web, app.kubernetes.io/instance: shop, app.kubernetes.io/version: "1.2.3"}}
spec:
  replicas: 3
  template:
    metadata:
      annotations: {{checksum/config: 6e0c1a7a4d1f3f9b8a3f4c5d6e7f8091}}
    spec:
      initContainers:
        - {{name: wait, image: "busybox:1.36", command: [sh, -c, "until nc -z db 5432; do sleep 1; done"]}}
      containers:
        - name: web
          image: "registry.example.com/shop/web:1.2.{number}"
          args: [--listen=:8080, --log-level=info]
          env:
            - {{name: DB_HOST, value: db.shop.svc.cluster.local}}
            - name: DB_PASSWORD
              valueFrom: {{secretKeyRef: {{name: db, key: password}}}}
          ports: [{{name: http, containerPort: 8080, protocol: TCP}}]
          livenessProbe: {{httpGet: {{path: /healthz, port: http}}}}
          resources: {{limits: {{cpu: 500m, memory: 256Mi}}, requests: {{cpu: 100m, memory: 128Mi}}}}
          volumeMounts: [{{name: config, mountPath: /etc/web}}]
      volumes: [{{name: config, configMap: {{name: web}}}}]
"""


@pytest.mark.nightly
def test_memory_does_not_grow_with_the_number_of_documents():
    """One at a time is held: two hundred need as much as twenty, beside their text."""
    peaks = []
    for count in (20, effort(200, 10_000)):
        data = "".join(DEPLOYMENT.format(number=number) for number in range(count)).encode()
        tracemalloc.start()
        assert sum(1 for _ in find_in_data(data, file="a.yaml")) == 2 * count
        peaks.append(tracemalloc.get_traced_memory()[1] - len(data))
        tracemalloc.stop()

    assert peaks[1] < peaks[0] + (4 << 20)
