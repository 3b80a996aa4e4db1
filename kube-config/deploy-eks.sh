#!/usr/bin/env bash
# Build, push to ECR, roll out on EKS: kube-config/deploy-eks.sh [--create] [--canary] [--dry-run]
#   --create   create the cluster of eks-config.yaml first if it does not exist (15 minutes, costs money)
#   --canary   roll out one pod of the new model beside the old ones, then stop
#   --dry-run  print the commands without running them
# Variables:
#   COMPONENTS           folders of components/ to deploy with it, such as "monitoring autoscaling"
# and for --create:
#   PUBLIC_ACCESS_CIDRS  who may reach the Kubernetes API, such as 203.0.113.0/24,198.51.100.7/32
#   SECRETS_KEY_ARN      a KMS key of yours that encrypts secrets; without it, AWS' own key does
set -euo pipefail
cd "$(dirname "$0")/.."

create='' canary='' dry_run=''
for option in "$@"; do
    case $option in
    --create) create=yes ;;
    --canary) canary=yes ;;
    --dry-run) dry_run=yes ;;
    *) sed -n 's/^# //p' "$0" | head -9 && exit 1 ;;
    esac
done
. kube-config/rollout.sh

config=kube-config/eks-config.yaml
cluster=$(sed -n '/^metadata:/,/^[^ m]/s/^  name: //p' $config)
region=$(sed -n '/^metadata:/,/^[^ m]/s/^  region: //p' $config)
aws=(aws --region "$region")
kubectl=(kubectl --context "eks-$cluster" --namespace sports)

if [ -z "$dry_run" ]; then
    need aws https://aws.amazon.com/cli/ \
        docker https://docs.docker.com/engine/install/ \
        eksctl https://eksctl.io/installation/ \
        kubectl https://kubernetes.io/docs/tasks/tools/ \
        curl "your package manager"
    [ -z "$create" ] || [ "${PUBLIC_ACCESS_CIDRS:-}" ] ||
        fail "set PUBLIC_ACCESS_CIDRS to the addresses that may reach the Kubernetes API, such as 203.0.113.0/24"
    docker info >/dev/null 2>&1 || fail "cannot reach Docker; start it, or join its group"
    account=$("${aws[@]}" sts get-caller-identity --query Account --output text) ||
        fail "not logged in to AWS; see: aws configure"
else
    account=ACCOUNT
fi
registry=$account.dkr.ecr.$region.amazonaws.com

step "Preparing the cluster $cluster in $region"
if [ "$create" ]; then
    sed "s|0.0.0.0/0|${PUBLIC_ACCESS_CIDRS:-0.0.0.0/0}|" $config >"$work/eks-config.yaml"
    [ -z "${SECRETS_KEY_ARN:-}" ] ||
        echo "secretsEncryption: {keyARN: $SECRETS_KEY_ARN}" >>"$work/eks-config.yaml"
    exists eksctl get cluster --name "$cluster" --region "$region" ||
        run eksctl create cluster --config-file "$work/eks-config.yaml"
fi
run "${aws[@]}" eks update-kubeconfig --name "$cluster" --alias "eks-$cluster"

step "Building the images"
build gateway gateway "$registry/sports-gateway" --platform linux/amd64
build model model "$registry/sports-model" --platform linux/amd64

step "Pushing the images"
[ "$dry_run" ] || "${aws[@]}" ecr get-login-password |
    docker login --username AWS --password-stdin "$registry"
# shellcheck disable=SC2154 # build sets them
for image in "$image_gateway" "$image_model"; do
    repository=${image#*/} && repository=${repository%:*}
    exists "${aws[@]}" ecr describe-repositories --repository-names "$repository" ||
        run "${aws[@]}" ecr create-repository --repository-name "$repository" \
            --image-tag-mutability IMMUTABLE --image-scanning-configuration scanOnPush=true
    run "${aws[@]}" ecr put-lifecycle-policy --repository-name "$repository" \
        --lifecycle-policy-text file://kube-config/ecr-lifecycle.json
    exists "${aws[@]}" ecr describe-images --repository-name "$repository" \
        --image-ids "imageTag=${image##*:}" ||
        run docker push "$image"
done

step "Rolling out"
deploy eks "$image_gateway" "$image_model"
if [ "$canary" ]; then
    run "${kubectl[@]}" rollout pause deployment/sports-model
else
    wait_for sports-model 15m
fi
wait_for sports-gateway 10m

step "Classifying a sample image"
predict

address='{.status.loadBalancer.ingress[0].hostname}:9696'
echo "
Its public address:
  ${kubectl[*]} get service sports-gateway-service --output jsonpath='$address'"
[ -z "$canary" ] || echo "
One pod has the new model:
  ${kubectl[*]} get pods --label-columns app.kubernetes.io/version
To continue:
  ${kubectl[*]} rollout resume deployment/sports-model
To roll back:
  ${kubectl[*]} rollout resume deployment/sports-model
  ${kubectl[*]} rollout undo deployment/sports-model"
