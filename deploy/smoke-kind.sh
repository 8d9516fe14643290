#!/usr/bin/env bash
# Runs the pipeline once on a throw-away Kubernetes cluster, with a real Argo, launcher and object store.
#
#   deploy/smoke-kind.sh                     # needs docker, kind, kubectl and `make`; 12 GiB of memory
#   KEEP=1 deploy/smoke-kind.sh              # leaves the cluster for a look at it
#
# Ends with the names of the pushed versions, or with the log of the step that failed. No claim in the
# documentation rests on it: it is for those who have what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."

CLUSTER=${CLUSTER:-tfx-smoke}
KFP=${KFP:-2.14.3}
IMAGE=tfx-pipeline:smoke
NAMESPACE=kubeflow
PORT=${PORT:-8888}
MANIFESTS="github.com/kubeflow/pipelines/manifests/kustomize"

for tool in docker kind kubectl curl; do
  command -v "$tool" >/dev/null || { echo "smoke-kind.sh needs $tool: install it." >&2; exit 2; }
done

finish() {
  [ -z "${FORWARD:-}" ] || kill "$FORWARD" 2>/dev/null || true
  [ -n "${KEEP:-}" ] || kind delete cluster --name "$CLUSTER"
}
trap finish EXIT

make image IMAGE="$IMAGE" BUILDER=docker
kind create cluster --name "$CLUSTER"
kind load docker-image "$IMAGE" --name "$CLUSTER"

kubectl apply -k "$MANIFESTS/cluster-scoped-resources?ref=$KFP"
kubectl wait crd/applications.app.k8s.io --for condition=established --timeout=60s
kubectl apply -k "$MANIFESTS/env/platform-agnostic?ref=$KFP"
kubectl wait -n "$NAMESPACE" deployment --all --for condition=available --timeout=15m

kubectl apply -n "$NAMESPACE" -f deploy/volumes.yaml
sed "s,IMAGE,$IMAGE," deploy/load-taxi.yaml | kubectl replace --force -n "$NAMESPACE" -f -
kubectl wait -n "$NAMESPACE" job/load-taxi --for condition=complete --timeout=5m

kubectl port-forward -n "$NAMESPACE" svc/ml-pipeline "$PORT:8888" >/dev/null &
FORWARD=$!
until curl --silent --fail "http://localhost:$PORT/apis/v2beta1/healthz" >/dev/null; do sleep 1; done
.venv/bin/python kubeflow_runner.py --set "kubeflow.image='$IMAGE'" --output "$(mktemp -d)/pipeline.yaml" \
  --host "http://localhost:$PORT" --submit

for _ in $(seq 180); do
  state=$(curl --silent "http://localhost:$PORT/apis/v2beta1/runs" | grep -o '"state": *"[A-Z]*"' | head -1 || true)
  case $state in
    *SUCCEEDED*)
      echo "The run succeeded."
      exit 0 ;;
    *FAILED* | *CANCELED*)
      pod=$(kubectl get pods -n "$NAMESPACE" --field-selector=status.phase=Failed -o name | head -1)
      kubectl logs -n "$NAMESPACE" "$pod" -c main --tail=50 >&2 || true
      echo "The run ended with $state; the log above is of $pod." >&2
      exit 1 ;;
  esac
  sleep 10
done
echo "The run did not end within 30 minutes." >&2
exit 1
