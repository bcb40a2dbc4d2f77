# syntax=docker/dockerfile:1
# Both stages use one image, pinned by digest. Dependabot updates tag and digest.
FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build
WORKDIR /build
# Install only packages that are locked by hash. Only imgsync itself is built from source.
COPY lock ./lock
# `serve` has all that one machine needs, `imgsync serve` included; `queue` is for the machines of a fleet.
ARG LOCK=serve
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/imgsync \
 && pip --python /opt/imgsync install --require-hashes --only-binary=:all: --requirement "lock/${LOCK}.txt" \
 && pip install --require-hashes --only-binary=:all: --requirement lock/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY schema ./schema
COPY man ./man
COPY imgsync ./imgsync
RUN pip wheel --no-index --no-deps --no-build-isolation --wheel-dir dist . \
 && pip --python /opt/imgsync install --no-cache-dir --no-index --no-deps dist/*.whl

FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
# `plan --changed-since` and `serve --git` run git, the latter also by ssh. The mirror repository is mounted, and belongs to another user.
# ssh needs a name for its own user.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends git openssh-client \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 65532 --user-group --no-create-home --home-dir /nonexistent imgsync \
 && git config --system --add safe.directory /mirrors
# Set by the build. `make image` sets all but SOURCE.
ARG VERSION=""
ARG REVISION=""
ARG CREATED=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="imgsync" \
      org.opencontainers.image.description="Declarative container-image mirroring" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=build /opt/imgsync /opt/imgsync
# Owned by the user of this image, so that it can write to a named volume for the state.
RUN install -d -o 65532 -g 65532 /mirrors /mirrors/.imgsync
ENV PATH=/opt/imgsync/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /mirrors
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["imgsync"]
CMD ["--help"]
