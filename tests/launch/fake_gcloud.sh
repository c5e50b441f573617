#!/bin/bash
# `gcloud` of a cloud that is a folder, $CLOUD: a slice has four hosts, processes of this machine.
set -eu
words=() worker="" command=""
for word in "$@"; do
    case $word in
        --worker=*) worker=${word#*=} ;;
        --command=*) command=${word#*=} ;;
        --*) ;;
        *) words+=("$word") ;;
    esac
done
echo "${words[*]}" >> "$CLOUD/calls"
hosts() { if [ "$worker" == all ]; then echo 0 1 2 3; else echo "$worker"; fi; }
case "${words[2]} ${words[3]}" in
    "queued-resources create")
        echo ACTIVE > "$CLOUD/state"
        port=$(< "$CLOUD/port")
        echo $((port + 1)) > "$CLOUD/port"
        for host in 0 1 2 3; do
            mkdir -p "$CLOUD/hosts/$host/.local/bin"
            cp "$CLOUD/uv" "$CLOUD/hosts/$host/.local/bin/uv"
        done ;;
    "queued-resources describe") cat "$CLOUD/state" ;;
    "queued-resources delete") rm -rf "$CLOUD/hosts" "$CLOUD/state" ;;
    "tpu-vm scp")
        for host in $(hosts); do
            target=${words[5]#*:}
            [[ $target == /* ]] || cp "${words[4]}" "$CLOUD/hosts/$host/$target"
        done ;;
    "tpu-vm ssh")
        [ "$(< "$CLOUD/state")" == ACTIVE ] || exit 255
        for host in $(hosts); do
            home=$CLOUD/hosts/$host
            (cd "$home" && env HOME="$home" MASTER_ADDR=127.0.0.1 MASTER_PORT="$(< "$CLOUD/port")" \
                WORLD_SIZE=4 RANK="$host" bash -c "$command")
        done ;;
esac
