# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/imgsync
COPY pyproject.toml README.md LICENSE ./
COPY schema ./schema
COPY imgsync ./imgsync
RUN --mount=type=cache,target=/root/.cache/pip /opt/imgsync/bin/pip install .

FROM python:3.13-slim
# What the build knows and this file cannot; `make image` fills in all but SOURCE.
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
# Its owner is who runs here, so that a named volume for the state can be written to.
RUN install -d -o 65532 -g 65532 /mirrors /mirrors/.imgsync
ENV PATH=/opt/imgsync/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /mirrors
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["imgsync"]
CMD ["--help"]
