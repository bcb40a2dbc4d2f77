#!/bin/sh
# The tests run against a real registry, let skopeo witness what was pushed, and run the scripts of CI workflows (jq, unzip). As root, what is missing is installed.
set -eu
missing=""
command -v docker-registry >/dev/null 2>&1 || missing="$missing docker-registry"
command -v skopeo >/dev/null 2>&1 || missing="$missing skopeo"
command -v jq >/dev/null 2>&1 || missing="$missing jq"
command -v unzip >/dev/null 2>&1 || missing="$missing unzip"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "The tests need:$missing. On Debian or Ubuntu run: sudo apt-get update && sudo apt-get install -y$missing" >&2
    exit 1
fi
apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
