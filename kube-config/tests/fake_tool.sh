#!/usr/bin/env bash
# Fake docker, kind, kubectl, aws and eksctl. The folder $STATE holds `calls`, one line for each
# call, and a file for each thing that exists. A call that contains $FAILS fails.
set -euo pipefail
call="${0##*/} $*"
echo "$call" >>"$STATE/calls"
if [ "${FAILS:-}" ] && [[ $call == *"$FAILS"* ]]; then
    echo "${0##*/}: fails in this test" >&2
    exit 1
fi

# The argument after an option.
option() {
    local rest="${call#* "$1" }"
    echo "${rest%% *}"
}

case $call in
"docker build "*)
    identity=$(printf '%s' "${call##* }" | sha256sum)
    echo "sha256:${identity:0:12}" >"$(option --iidfile)"
    ;;
"docker login "*) [ "$(cat)" = "${ECR_TOKEN:-secret}" ] ;;
"docker push "*) : >"$STATE/tag-${call##*:}" ;;
"kind get clusters") for file in "$STATE"/cluster-*; do echo "${file##*/cluster-}"; done ;;
"kind create cluster "*) : >"$STATE/cluster-$(option --name)" ;;
"kind delete cluster "*) rm "$STATE/cluster-$(option --name)" ;;
*" apply -k "*) "$KUBECTL" kustomize "$(option -k)" >"$STATE/applied" ;;
*" port-forward "*)
    echo "Forwarding from 127.0.0.1:$SERVICE_PORT -> 9696"
    exec sleep 300
    ;;
*" get-caller-identity "*) echo 123456789012 ;;
*" get-login-password") echo secret ;;
*" create-repository "*) : >"$STATE/repository-$(option --repository-name)" ;;
*" describe-repositories "*) [ -e "$STATE/repository-$(option --repository-names)" ] ;;
*" describe-images "*) image=$(option --image-ids) && [ -e "$STATE/tag-${image#imageTag=}" ] ;;
"eksctl get cluster "*) [ -e "$STATE/eks-cluster" ] ;;
"eksctl create cluster "*) cp "$(option --config-file)" "$STATE/eks-cluster" ;;
esac
