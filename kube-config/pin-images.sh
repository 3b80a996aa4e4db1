#!/usr/bin/env bash
# Pin the images that others made to the digests which their tags have now: kube-config/pin-images.sh
# It changes the Dockerfiles and docker-compose.yaml, where references become NAME:TAG@sha256:DIGEST;
# run it again to renew them. It requires Docker with buildx, or skopeo.
set -euo pipefail
cd "$(dirname "$0")/.."

files=(docker-compose.yaml bulk/Dockerfile gateway/Dockerfile model/Dockerfile model/server/Dockerfile
    kube-config/overlays/*/Dockerfile)
before='^(ARG [A-Z_]+_IMAGE=| +image: )'
digest='(@sha256:[0-9a-f]{64})?'
after='( #.*)?$'

# The manifest, or the list of manifests of all platforms, byte for byte.
manifest() {
    if command -v docker >/dev/null; then
        docker buildx imagetools inspect --raw "$1"
    else
        skopeo inspect --raw "docker://$1"
    fi
}

images=$(sed -nE "s/$before([^@ ]+:[^@ ]+)$digest$after/\2/p" "${files[@]}" | grep -v ':local$' | sort -u)
for image in $images; do
    sum=$(manifest "$image" | sha256sum)
    sed -i -E "s,$before$image$digest$after,\1$image@sha256:${sum%% *}\3," "${files[@]}"
    echo "$image@sha256:${sum%% *}"
done
