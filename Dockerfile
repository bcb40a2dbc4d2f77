# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/imgsync
COPY pyproject.toml README.md LICENSE ./
COPY schema ./schema
COPY imgsync ./imgsync
RUN --mount=type=cache,target=/root/.cache/pip /opt/imgsync/bin/pip install .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="imgsync" \
      org.opencontainers.image.description="Declarative container-image mirroring" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/imgsync /opt/imgsync
ENV PATH=/opt/imgsync/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /mirrors
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["imgsync"]
CMD ["--help"]
