#!/usr/bin/env bash
# Train on a TPU slice of Google Cloud: request it, install, train, delete it.
#
#     launch/tpu_pod.sh ACTION --name NAME --project PROJECT --zone ZONE [OPTION…]
#
#   create   request the slice as a queued resource, and wait for it
#              --accelerator TYPE   such as v5litepod-16, v4-128, v5p-64, v6e-16
#              --runtime VERSION    the TPU VM's image; by default the one for TYPE
#              --spot               cheaper, may be taken away at any time
#   install  copy this checkout to all hosts and install it there
#              --nfs HOST:/SHARE    mounted at /mnt/runs on all of them (Filestore)
#   train    start the run on all hosts, or continue it
#              --config NAME|FILE --workdir DIR   DIR is under /mnt/runs
#              -- --config.KEY=VALUE…             changes of the config
#   log      follow the log of the first host
#   stop     stop the run; it saves a checkpoint first
#   delete   delete the slice
#   --dry-run  print the commands without running them

# shellcheck disable=SC2154 # parse_options sets the variables of the options
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=launch/lib.sh
source launch/lib.sh

readonly LOG=glide_jax.log ARCHIVE=/tmp/glide_jax.tar.gz

runtime_of() {
    case $1 in
        v5litepod-*) echo v2-alpha-tpuv5-lite ;;
        v5p-*) echo v2-alpha-tpuv5 ;;
        v6e-*) echo v2-alpha-tpuv6e ;;
        v4-*) echo tpu-ubuntu2204-base ;;
        *) return 1 ;;
    esac
}

on() { # WORKER COMMAND: on one host or on all
    run gcloud compute tpus tpu-vm ssh "$name" "${where[@]}" --worker="$1" --command="$2"
}

create() {
    require accelerator
    [ -n "${runtime:-}" ] || runtime=$(runtime_of "$accelerator") ||
        die "--accelerator=$accelerator: unknown type; use one such as v5litepod-16, v4-128, v5p-64, v6e-16"
    run gcloud compute tpus queued-resources create "$name" "${where[@]}" --node-id="$name" \
        --accelerator-type="$accelerator" --runtime-version="$runtime" ${spot:+--spot}
    local ask=(gcloud compute tpus queued-resources describe "$name" "${where[@]}"
        "--format=value(state.state)")
    if [ -n "${dry_run:-}" ]; then
        run "${ask[@]}"
        return
    fi
    while true; do
        state=$("${ask[@]}")
        echo "$name: $state"
        case $state in
            ACTIVE) return ;;
            FAILED | SUSPENDED | SUSPENDING) die "the slice is $state; delete it and create it again" ;;
        esac
        sleep 30
    done
}

install() {
    [[ ${nfs:-host:/} == *:/* ]] || die "--nfs=$nfs must be HOST:/SHARE"
    run git archive --format=tar.gz --output="$ARCHIVE" HEAD
    run gcloud compute tpus tpu-vm scp "$ARCHIVE" "$name:$ARCHIVE" "${where[@]}" --worker=all
    on all "mkdir -p glide_jax && tar -xzf $ARCHIVE -C glide_jax"
    # The images have Python 3.10; uv brings its own.
    on all "python3 -m pip install --user --quiet uv"
    on all "cd glide_jax && ~/.local/bin/uv venv --quiet --allow-existing --python 3.12 .venv"
    on all "cd glide_jax && ~/.local/bin/uv pip install --quiet --python .venv/bin/python '.[tpu]'"
    if [ -n "${nfs:-}" ]; then
        on all "sudo apt-get install --yes nfs-common && sudo mkdir -p /mnt/runs"
        on all "mountpoint -q /mnt/runs || sudo mount -t nfs $nfs /mnt/runs"
        on all "sudo chmod 777 /mnt/runs"
    fi
}

train() {
    require_config
    require workdir
    [[ $workdir == /mnt/runs/* ]] || die "--workdir=$workdir must be under /mnt/runs, where all hosts see it"
    local words
    words=$(printf ' %q' --config="$config" --workdir="$workdir" --coordinator=auto "${rest[@]}")
    local command=".venv/bin/python -m glide_jax.main$words"
    on all "cd glide_jax && nohup $command > $LOG 2>&1 < /dev/null & sleep 1"
}

case ${1:-} in
    create | install | train | log | stop | delete) action=$1 ;;
    --help | -h) help_of "$0"; exit ;;
    *) die "give an ACTION: create, install, train, log, stop or delete; see --help" ;;
esac
shift
parse_options "name project zone accelerator runtime nfs config workdir" "spot" "$@"
require name project zone
where=(--project="$project" --zone="$zone")
case $action in
    log) on 0 "tail -n 50 -f glide_jax/$LOG" ;;
    # The signal to one process is enough: all of them stop after the same step.
    stop) on 0 "pkill -TERM -f '[g]lide_jax.main'" ;;
    delete) run gcloud compute tpus queued-resources delete "$name" "${where[@]}" --force ;;
    *) "$action" ;;
esac
