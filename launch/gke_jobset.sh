#!/usr/bin/env bash
# Train on a TPU slice of a Google Kubernetes Engine cluster, as a JobSet.
#
#     launch/gke_jobset.sh --name NAME --image IMAGE --tpu v5e|v6e|v4|v5p --topology 4x4 \
#         --config NAME|FILE --workdir DIR [OPTION…]
#     launch/gke_jobset.sh status --name NAME [--namespace NAME]
#
#   --image IMAGE        built from launch/Dockerfile, in a registry that the cluster can read
#   --workdir DIR        gs://… or s3://…, or under /mnt/runs, with --claim
#   --tpu, --topology    of the node pool
#   --chips-per-node N   of the node pool; default: 4
#   --claim CLAIM        a PersistentVolumeClaim that all nodes may write (ReadWriteMany), mounted at
#                        /mnt/runs; DIR is under it
#   --service-account NAME   of Kubernetes, that may read and write the bucket
#   --env A,B            variables of this shell that go along, as a Kubernetes secret
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

action=train
case ${1:-} in
    --help | -h) help_of "$0"; exit ;;
    status) action=status; shift ;;
esac
chips_per_node=4 restarts=20 grace=300 namespace=default
parse_options "name image tpu topology chips-per-node claim config workdir restarts grace namespace
 service-account env" "spot" "$@"
if [ $action == status ]; then
    require name
    pods="jobset.sigs.k8s.io/jobset-name=$name"
    run kubectl get jobset "$name" --namespace="$namespace"
    run kubectl get pods --selector="$pods" --namespace="$namespace" --output=wide
    run kubectl logs --selector="$pods" --namespace="$namespace" --tail=5 --prefix
    exit
fi
require name image tpu topology workdir
require_config
require_number chips-per-node restarts grace
[[ $name =~ ^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$ ]] ||
    die "--name=$name must consist of lower-case letters, digits and -, at most 40"
if ! in_bucket "$workdir"; then
    [ -n "${claim:-}" ] || die "give --claim, where --workdir is no bucket; see --help"
    [[ $workdir == /mnt/runs/* ]] ||
        die "--workdir=$workdir must be gs://… or s3://…, or under /mnt/runs, where the claim is"
fi
names_of "${env:-}" > /dev/null
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

from_secret=""
if [ -n "${env:-}" ]; then
    from_secret="
                  envFrom:
                    - secretRef:
                        name: $name-environment"
fi
account=""
if [ -n "${service_account:-}" ]; then
    account="
              serviceAccountName: $service_account"
fi
mount="" volume=""
if [ -n "${claim:-}" ]; then
    mount="
                    - name: runs
                      mountPath: /mnt/runs"
    volume="
                - name: runs
                  persistentVolumeClaim:
                    claimName: $claim"
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
              restartPolicy: Never$account
              terminationGracePeriodSeconds: $grace
              nodeSelector:
                cloud.google.com/gke-tpu-accelerator: $accelerator
                cloud.google.com/gke-tpu-topology: "$topology"$on_spot
              containers:
                - name: train
                  image: $(quoted "$image")
                  command:$words$from_secret
                  ports:
                    - containerPort: 8471
                    - containerPort: 8080
                  resources:
                    requests:
                      google.com/tpu: $chips_per_node
                    limits:
                      google.com/tpu: $chips_per_node
                  volumeMounts:$mount
                    - name: memory
                      mountPath: /dev/shm
              volumes:$volume
                - name: memory
                  emptyDir:
                    medium: Memory
EOF
)
if [ -n "${dry_run:-}" ]; then
    printf '%s\n' "$jobset"
fi
if [ -n "${env:-}" ]; then
    # Values come on stdin: the command line of a process is there for everybody to read.
    secret=$(
        printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s-environment\n  namespace: %s\nstringData:\n' \
            "$name" "$namespace"
        for one in $(names_of "$env"); do
            printf '  %s: %s\n' "$one" "$(quoted "${!one}")"
        done
    )
    run kubectl apply --filename=- <<<"$secret"
fi
run kubectl apply --filename=- <<<"$jobset"
