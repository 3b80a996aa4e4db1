# shellcheck shell=bash
# Functions shared by deploy-local-kube.sh and deploy-eks.sh. Source it in the repository's root. The
# array kubectl holds the command with its context and namespace.
set -eEuo pipefail

export BUILDX_NO_DEFAULT_ATTESTATIONS=1 # kind cannot load images with attestations
doing="starting"
dry_run=${dry_run:-}
work=$(mktemp -d kube-config/overlays/run.XXXXXX) # kustomize requires a path relative to the base
trap 'rm -rf "$work"; kill $(jobs -p) 2>/dev/null || true' EXIT
trap 'echo "$0 stopped: $doing failed, see above" >&2' ERR

fail() {
    echo "$0: $1" >&2
    exit 1
}

step() {
    doing=$1
    echo "== $1"
}

# Run a command; in a dry run, print it.
run() {
    if [ "$dry_run" ]; then
        printf '+ %s\n' "$*"
    else
        "$@"
    fi
}

# Whether a query succeeds; in a dry run, nothing exists.
exists() {
    [ -z "$dry_run" ] && "$@" >/dev/null 2>&1
}

# need TOOL SOURCE...: list all missing tools, then exit.
need() {
    local missing=
    while [ $# -gt 0 ]; do
        if ! command -v "$1" >/dev/null; then
            echo "$1 is missing, get it from $2" >&2
            missing=yes
        fi
        shift 2
    done
    [ -z "$missing" ] || exit 1
}

# build NAME FOLDER REPOSITORY [OPTION...]: set image_NAME to REPOSITORY:TAG. The tag is derived from
# the content, so that an unchanged image is not rolled out again.
build() {
    local name=$1 folder=$2 repository=$3 tag=TAG revision
    shift 3
    revision=$(git log -1 --format=%h -- "$folder" 2>/dev/null || echo unknown)
    run docker build "$@" --build-arg "REVISION=$revision" --iidfile "$work/$name" "$folder"
    if [ -z "$dry_run" ]; then
        tag=$(cut -c 8-19 "$work/$name")
        docker tag "$(cat "$work/$name")" "$repository:$tag"
    fi
    printf -v "image_$name" '%s' "$repository:$tag"
}

# deploy OVERLAY GATEWAY-IMAGE MODEL-IMAGE: apply an overlay with these images and with $COMPONENTS, names
# of folders in components/. The model's pods have the tag as a label, which distinguishes a canary from
# the other pods.
deploy() {
    local overlay=$1 gateway=$2 model=$3 component components=
    for component in ${COMPONENTS:-}; do
        components+="../../components/$component, "
    done
    cat >"$work/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../$overlay]
components: [$components]
images:
  - {name: sports-gateway, newName: ${gateway%:*}, newTag: "${gateway##*:}"}
  - {name: sports-model, newName: ${model%:*}, newTag: "${model##*:}"}
patches:
  - target: {kind: Deployment, name: sports-model}
    patch: |
      - op: add
        path: /spec/template/metadata/labels/app.kubernetes.io~1version
        value: "${model##*:}"
END
    run "${kubectl[@]}" apply -k "$work"
}

# wait_for DEPLOYMENT TIMEOUT: wait for the rollout; if it fails, show the pods and the warnings.
wait_for() {
    run "${kubectl[@]}" rollout status "deployment/$1" --timeout "$2" && return
    "${kubectl[@]}" get pods
    "${kubectl[@]}" get events --field-selector type=Warning --sort-by .lastTimestamp
    return 1
}

# Classify one sample image through a temporary port-forward.
predict() {
    local forward port=
    if [ "$dry_run" ]; then
        run "${kubectl[@]}" port-forward deployment/sports-gateway :9696
        run ./predict_test.sh
        return
    fi
    : >"$work/forward" # the loop may read it before the background job has opened it
    "${kubectl[@]}" port-forward deployment/sports-gateway :9696 >"$work/forward" &
    forward=$!
    for _ in {1..300}; do
        port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$work/forward")
        [ -z "$port" ] || break
        kill -0 "$forward" || return 1
        sleep 0.1
    done
    [ "$port" ] || return 1
    ./predict_test.sh "localhost:$port"
    kill "$forward"
    wait "$forward" || true # its status is that of a killed process
}
