#!/usr/bin/env bash
# Ask the service what a picture shows: ./predict_test.sh [host] [url-or-file]
set -euo pipefail

host=${1:-localhost:9696}
picture=${2:-$(dirname "$0")/dataset/samples/soccer.jpg}
case $host in *://*) ;; *) host=http://$host ;; esac

case $picture in
*://*)
    picture=${picture//\\/\\\\}
    request=(--header 'Content-Type: application/json' --data "{\"url\": \"${picture//\"/\\\"}\"}")
    ;;
*)
    [ -f "$picture" ] || { echo "no such file: $picture" >&2; exit 1; }
    request=(--header 'Content-Type: image/*' --data-binary "@$picture")
    ;;
esac

curl --silent --show-error --fail-with-body --max-time 30 "${request[@]}" "$host/predict"
