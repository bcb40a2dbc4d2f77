# syntax=docker/dockerfile:1.12
# check=error=true

FROM python:3.13-slim@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
COPY --from=ghcr.io/astral-sh/uv:0.5.14 /uv /usr/local/bin/
RUN --mount=type=cache,target=/root/.cache \
    --mount=type=bind,from=node:22,source=/usr/local/bin/node,target=/usr/bin/node \
    uv pip install .
RUN <<EOF
cat > other <<'INNER'
FROM fake:1
INNER
FROM fake:2
EOF
COPY <<-"CONF" /etc/conf
	FROM fake:3
	CONF
