#!/usr/bin/env bash
# Train on a TPU slice of Google Cloud: request it, install, train, delete it.
#
#     launch/tpu_pod.sh ACTION --name NAME --project PROJECT --zone ZONE [OPTION…]
#
#   create   request the slice as a queued resource, and wait for it
#              --accelerator TYPE   such as v5litepod-16, v4-128, v5p-64, v6e-16
#              --runtime VERSION    the TPU VM's image; by default the one for TYPE
#              --spot               cheaper, may be taken away at any time
#   install  copy this checkout to all hosts and install it there, in the versions of
#            requirements.lock, which is made if it isn't there (launch/lock.sh)
#              --extras A,B         of setup.py beside tpu, such as glide,remote; remote comes by
#                                   itself where --workdir is a bucket
#              --nfs HOST:/SHARE    mounted at /mnt/runs on all of them (Filestore)
#   train    start the run on all hosts, or continue it
#              --config NAME|FILE --workdir DIR   gs://… or s3://…, or under /mnt/runs
#              --env A,B                          variables of this shell that go along
#              -- --config.KEY=VALUE…             changes of the config
#   keep     all of it, with the options of all: create, install, train; and again whenever the
#            slice is taken away or the run dies, until it is done
#              --restarts N         of a run that dies on a slice that is there; default: 20
#              --poll SECONDS       between two looks; default: 30
#   status   whether the slice is there, how the run is, and its last lines
#   log      follow the log of the first host
#   stop     stop the run; it saves a checkpoint first
#   delete   delete the slice
#   --dry-run  print the commands without running them

# shellcheck disable=SC2154 # parse_options sets the variables of the options
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=launch/lib.sh
source launch/lib.sh

# In ~/glide_jax on every host. The status is that with which the run has ended.
readonly LOG=glide_jax.log PID=glide_jax.pid STATUS=glide_jax.status ENVIRONMENT=environment.sh
readonly ARCHIVE=/tmp/glide_jax.tar.gz

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

copy() { # FILE PATH: to all hosts
    run gcloud compute tpus tpu-vm scp "$1" "$name:$2" "${where[@]}" --worker=all
}

ask_state() {
    gcloud compute tpus queued-resources describe "$name" "${where[@]}" "--format=value(state.state)"
}

create() {
    require accelerator
    [ -n "${runtime:-}" ] || runtime=$(runtime_of "$accelerator") ||
        die "--accelerator=$accelerator: unknown type; use one such as v5litepod-16, v4-128, v5p-64, v6e-16"
    run gcloud compute tpus queued-resources create "$name" "${where[@]}" --node-id="$name" \
        --accelerator-type="$accelerator" --runtime-version="$runtime" ${spot:+--spot} || return
    if [ -n "${dry_run:-}" ]; then
        run gcloud compute tpus queued-resources describe "$name" "${where[@]}" "--format=value(state.state)"
        return
    fi
    local state
    while true; do
        state=$(ask_state)
        echo "$name: $state"
        case $state in
            ACTIVE) return ;;
            FAILED | SUSPENDED | SUSPENDING) return 1 ;;
        esac
        sleep "$poll"
    done
}

install() {
    [[ ${nfs:-host:/} == *:/* ]] || die "--nfs=$nfs must be HOST:/SHARE"
    local all
    all=$(extras_of tpu "${extras:-}" "${workdir:-}")
    lock_for "$all"
    run git archive --format=tar.gz --output="$ARCHIVE" HEAD
    copy "$ARCHIVE" "$ARCHIVE"
    on all "mkdir -p glide_jax && tar -xzf $ARCHIVE -C glide_jax"
    copy "$LOCK" "glide_jax/$LOCK"
    # The images have Python 3.10; uv brings its own.
    on all "python3 -m pip install --user --quiet uv"
    on all "cd glide_jax && ~/.local/bin/uv venv --quiet --allow-existing --python 3.12 .venv"
    on all "cd glide_jax && ~/.local/bin/uv pip install --quiet --python .venv/bin/python --requirement $LOCK"
    on all "cd glide_jax && ~/.local/bin/uv pip install --quiet --python .venv/bin/python --no-deps ."
    if [ -n "${nfs:-}" ]; then
        # A host that has just started updates itself, and holds apt's lock meanwhile.
        on all "sudo apt-get -o DPkg::Lock::Timeout=600 install --yes nfs-common && sudo mkdir -p /mnt/runs"
        on all "mountpoint -q /mnt/runs || sudo mount -t nfs $nfs /mnt/runs"
        on all "sudo chmod 777 /mnt/runs"
    fi
}

check_run() {
    require_config
    require workdir
    in_bucket "$workdir" || [[ $workdir == /mnt/runs/* ]] ||
        die "--workdir=$workdir must be gs://… or s3://…, or under /mnt/runs, where all hosts see it"
    names_of "${env:-}" > /dev/null
}

train() {
    check_run
    local words command variables one
    words=$(printf ' %q' --config="$config" --workdir="$workdir" --coordinator=auto "${rest[@]}")
    command=".venv/bin/python -m glide_jax.main$words"
    # A file, so that no value is in a command, which everybody on a host can read.
    variables=$(mktemp)
    for one in $(names_of "${env:-}"); do
        printf 'export %s=%q\n' "$one" "${!one}"
    done > "$variables"
    copy "$variables" "glide_jax/$ENVIRONMENT"
    rm "$variables"
    # A run that hangs on one host, as the others have died, would keep the TPU.
    on all "cd glide_jax && chmod 600 $ENVIRONMENT && rm -f $STATUS && { [ ! -f $PID ] || kill -9 \$(cat $PID) 2> /dev/null || true; } && rm -f $PID"
    on all "cd glide_jax && { (trap '' HUP; . ./$ENVIRONMENT; $command & echo \$! > $PID; wait \$!; echo \$? > $STATUS) > $LOG 2>&1 < /dev/null & sleep 1; }"
}

# How the run on the first host is: running, the status that it ended with, or none.
# One that has just ended may not have written its status yet.
readonly ALIVE="[ -f $PID ] && kill -0 \$(cat $PID) 2> /dev/null"
readonly ASK="cd glide_jax 2> /dev/null || { echo none; exit; }; if [ ! -f $STATUS ] && $ALIVE; then echo running; exit; fi; [ -f $STATUS ] || sleep 3; cat $STATUS 2> /dev/null || echo none"

ask_run() {
    gcloud compute tpus tpu-vm ssh "$name" "${where[@]}" --worker=0 --command="$ASK" 2> /dev/null
}

start_over() {
    create
    install
    train
}

# What fails on a slice that is being taken away is tried again, as the state will say.
attempt() {
    local code
    set +e
    (
        set -e
        "$@"
    )
    code=$?
    set -e
    if [ $code -ne 0 ]; then
        [ "$left" -gt 0 ] || die "$1 has failed too often, at last with status $code: see above"
        left=$((left - 1))
        echo "$name: $1 failed with status $code; trying again in $poll s"
    fi
}

keep() {
    require accelerator
    check_run
    require_number restarts poll
    # Mistakes are answered now: what fails later is tried again.
    local all state ended left=$restarts
    all=$(extras_of tpu "${extras:-}" "$workdir")
    if [ -n "${dry_run:-}" ]; then
        start_over
        return
    fi
    lock_for "$all"
    while true; do
        state=$(ask_state 2> /dev/null || true)
        case $state in
            ACTIVE) ;;
            "") attempt start_over; sleep "$poll"; continue ;;
            FAILED | SUSPENDED | SUSPENDING)
                echo "$name: $state; deleted, and requested again"
                attempt run gcloud compute tpus queued-resources delete "$name" "${where[@]}" --force --quiet
                attempt start_over
                ;;
            *) sleep "$poll"; continue ;;
        esac
        # A host that doesn't answer is about to be taken away: the state says so soon.
        ended=$(ask_run || echo running)
        case $ended in
            0) echo "$name: the run is done"; return ;;
            2) on 0 "tail -n 5 glide_jax/$LOG"; die "the run can't go on: see above" ;;
            none) attempt install; attempt train ;;
            running) ;;
            *)
                on 0 "tail -n 5 glide_jax/$LOG"
                [ "$left" -gt 0 ] || die "the run has died $((restarts + 1)) times, with status $ended: see above"
                left=$((left - 1))
                echo "$name: the run ended with status $ended, and is started again"
                attempt train
                ;;
        esac
        sleep "$poll"
    done
}

status() {
    run gcloud compute tpus queued-resources describe "$name" "${where[@]}" "--format=value(state.state)"
    on 0 "$ASK"
    on 0 "tail -n 5 glide_jax/$LOG"
}

case ${1:-} in
    create | install | train | keep | status | log | stop | delete) action=$1 ;;
    --help | -h) help_of "$0"; exit ;;
    *) die "give an ACTION: create, install, train, keep, status, log, stop or delete; see --help" ;;
esac
shift
restarts=20 poll=30
parse_options "name project zone accelerator runtime extras nfs config workdir env restarts poll" \
    "spot" "$@"
require name project zone
where=(--project="$project" --zone="$zone")
case $action in
    create) create || die "the slice is not to be had; delete it and create it again" ;;
    log) on 0 "tail -n 50 -f glide_jax/$LOG" ;;
    # The signal to one process is enough: all of them stop after the same step.
    stop) on 0 "kill -TERM \$(cat glide_jax/$PID)" ;;
    delete) run gcloud compute tpus queued-resources delete "$name" "${where[@]}" --force ;;
    *) "$action" ;;
esac
