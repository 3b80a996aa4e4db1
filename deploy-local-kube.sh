#!/usr/bin/env bash
# The service in a Kind cluster on this machine: ./deploy-local-kube.sh [cluster-name]
# Run it again after a change. To delete the cluster: ./deploy-local-kube.sh --delete [cluster-name]
set -euo pipefail
cd "$(dirname "$0")"

delete=
case ${1:-} in
--delete) delete=yes && shift ;;
-*) sed -n 's/^# //p' "$0" | head -2 && exit ;;
esac
cluster=${1:-sports}
kubectl=(kubectl --context "kind-$cluster" --namespace sports)
. kube-config/rollout.sh

need docker https://docs.docker.com/engine/install/ \
    kind https://kind.sigs.k8s.io/docs/user/quick-start/#installation \
    kubectl https://kubernetes.io/docs/tasks/tools/ \
    curl "your package manager"
docker info >/dev/null 2>&1 || fail "cannot reach Docker; start it, or join its group"

if [ "$delete" ]; then
    step "Deleting the cluster $cluster"
    kind delete cluster --name "$cluster"
    exit
fi

step "Building the images"
build gateway gateway sports-gateway
build model model sports-model

step "Preparing the cluster $cluster"
if ! kind get clusters 2>/dev/null | grep -qx "$cluster"; then
    kind create cluster --name "$cluster" --wait 3m
fi
# shellcheck disable=SC2154 # build sets them
kind load docker-image --name "$cluster" "$image_gateway" "$image_model"

step "Rolling out"
deploy kind "$image_gateway" "$image_model"
wait_for sports-model 10m
wait_for sports-gateway 10m

step "Classifying a sample image"
predict

echo "
To make it available at localhost:9696:
  ${kubectl[*]} port-forward service/sports-gateway-service 9696:9696"
