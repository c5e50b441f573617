#!/usr/bin/env bash
# Train on a TPU slice of a Google Kubernetes Engine cluster, as a JobSet.
#
#     launch/gke_jobset.sh --name NAME --image IMAGE --tpu v5e|v6e|v4|v5p --topology 4x4 \
#         --claim CLAIM --config NAME|FILE --workdir DIR [OPTION…]
#
#   --image IMAGE        built from launch/Dockerfile, in a registry that the cluster can read
#   --tpu, --topology    of the node pool
#   --chips-per-node N   of the node pool; default: 4
#   --claim CLAIM        a PersistentVolumeClaim that all nodes may write (ReadWriteMany), mounted at
#                        /mnt/runs; DIR is under it
#   --restarts N         how often the run is restarted after a failure; default: 20
#   --grace SECONDS      to save a checkpoint when nodes are taken away; default: 300
#   --spot               on nodes that may be taken away at any time
#   --namespace NAME     default: default
#   -- --config.KEY=VALUE…   changes of the config
#   --dry-run            print the JobSet and the command without applying it

# shellcheck disable=SC2154 # parse_options sets the variables of the options
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=launch/lib.sh
source launch/lib.sh

case ${1:-} in --help | -h) help_of "$0"; exit ;; esac
chips_per_node=4 restarts=20 grace=300 namespace=default
parse_options "name image tpu topology chips-per-node claim config workdir restarts grace namespace" \
    "spot" "$@"
require name image tpu topology claim workdir
require_config
require_number chips-per-node restarts grace
[[ $name =~ ^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$ ]] ||
    die "--name=$name must consist of lower-case letters, digits and -, at most 40"
[[ $workdir == /mnt/runs/* ]] || die "--workdir=$workdir must be under /mnt/runs, where the claim is"
case $tpu in
    v4) accelerator=tpu-v4-podslice ;;
    v5e) accelerator=tpu-v5-lite-podslice ;;
    v5p) accelerator=tpu-v5p-slice ;;
    v6e) accelerator=tpu-v6e-slice ;;
    *) die "--tpu=$tpu must be one of v4, v5e, v5p, v6e" ;;
esac
[[ $topology =~ ^[1-9][0-9]*(x[1-9][0-9]*){1,2}$ ]] || die "--topology=$topology must look like 4x4 or 2x2x4"
chips=$((${topology//x/*}))
((chips % chips_per_node == 0)) ||
    die "--topology=$topology has $chips chips, which --chips-per-node=$chips_per_node does not divide"
nodes=$((chips / chips_per_node))

# Every JSON string is a YAML string.
quoted() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}
words=""
for word in python -m glide_jax.main --config="$config" --workdir="$workdir" --coordinator=auto \
    "${rest[@]}"; do
    words+="
                  - $(quoted "$word")"
done

on_spot=""
if [ -n "${spot:-}" ]; then
    on_spot='
                cloud.google.com/gke-spot: "true"'
fi

jobset=$(
    cat <<EOF
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: $name
  namespace: $namespace
  annotations:
    alpha.jobset.sigs.k8s.io/exclusive-topology: cloud.google.com/gke-nodepool
spec:
  failurePolicy:
    maxRestarts: $restarts
  replicatedJobs:
    - name: slice
      replicas: 1
      template:
        spec:
          parallelism: $nodes
          completions: $nodes
          completionMode: Indexed
          backoffLimit: 0
          template:
            spec:
              restartPolicy: Never
              terminationGracePeriodSeconds: $grace
              nodeSelector:
                cloud.google.com/gke-tpu-accelerator: $accelerator
                cloud.google.com/gke-tpu-topology: "$topology"$on_spot
              containers:
                - name: train
                  image: $(quoted "$image")
                  command:$words
                  ports:
                    - containerPort: 8471
                    - containerPort: 8080
                  resources:
                    requests:
                      google.com/tpu: $chips_per_node
                    limits:
                      google.com/tpu: $chips_per_node
                  volumeMounts:
                    - name: runs
                      mountPath: /mnt/runs
                    - name: memory
                      mountPath: /dev/shm
              volumes:
                - name: runs
                  persistentVolumeClaim:
                    claimName: $claim
                - name: memory
                  emptyDir:
                    medium: Memory
EOF
)
if [ -n "${dry_run:-}" ]; then
    printf '%s\n' "$jobset"
fi
run kubectl apply --filename=- <<<"$jobset"
