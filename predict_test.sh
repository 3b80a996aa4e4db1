#!/usr/bin/env bash
# Classify an image: ./predict_test.sh [host] [url-or-file]
set -euo pipefail

host=${1:-localhost:9696}
image=${2:-$(dirname "$0")/dataset/samples/soccer.jpg}
case $host in *://*) ;; *) host=http://$host ;; esac

case $image in
*://*)
    image=${image//\\/\\\\}
    request=(--header 'Content-Type: application/json' --data "{\"url\": \"${image//\"/\\\"}\"}")
    ;;
*)
    [ -f "$image" ] || { echo "no such file: $image" >&2; exit 1; }
    request=(--header 'Content-Type: image/*' --data-binary "@$image")
    ;;
esac

curl --silent --show-error --fail-with-body --max-time 30 "${request[@]}" "$host/predict"
