#!/usr/bin/env bash
# Train on GPUs of a Slurm cluster: one job, a process a GPU, which find each other.
#
#     launch/slurm.sh --config FILE --workdir DIR --nodes N --gpus-per-node G [OPTION…]
#
#   --workdir DIR        where all nodes see it; the job's log lies there as well
#   --time LIMIT         as sbatch has it; 24:00:00 by default
#   --grace SECONDS      before the limit, to save in; 300 by default
#   --repeat N           jobs one after the other, each going on where the last stopped; 1 by default
#   --partition NAME, --account NAME, --cpus-per-gpu N   as sbatch has them
#   --python PATH        of the environment; .venv/bin/python by default
#   --job-name NAME      by default glide_jax-CONFIG
#   -- --config.KEY=VALUE…   changes of the config
#   --dry-run            print the script and the command, and submit nothing

# shellcheck disable=SC2154 # parse_options sets the variables of the options
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=launch/lib.sh
source launch/lib.sh

case ${1:-} in --help | -h) help_of "$0"; exit ;; esac
time=24:00:00 grace=300 repeat=1 cpus_per_gpu=8 python=.venv/bin/python
parse_options "config workdir nodes gpus-per-node time grace repeat partition account cpus-per-gpu
 python job-name" "" "$@"
require_config
require workdir nodes gpus-per-node
require_number nodes gpus-per-node grace repeat cpus-per-gpu
[[ $workdir == /* ]] || die "--workdir=$workdir must be absolute, the same on all nodes"
[[ $time =~ ^([0-9]+-)?[0-9]+(:[0-9]+){0,2}$ ]] || die "--time=$time must be as sbatch has it: 24:00:00"
job_name=${job_name:-glide_jax-$(basename "$config" .py)}

# JAX gives each task of Slurm the GPU of its number on the node, so there is a task a GPU.
# The signal goes to the tasks, not to this script: they save, and the job ends. Until they have, none
# is killed because another has ended.
script=$(
    cat <<EOF
#!/bin/bash
#SBATCH --job-name=$job_name
#SBATCH --dependency=singleton
#SBATCH --nodes=$nodes
#SBATCH --ntasks-per-node=$gpus_per_node
#SBATCH --gpus-per-node=$gpus_per_node
#SBATCH --cpus-per-task=$cpus_per_gpu
#SBATCH --time=$time
#SBATCH --signal=TERM@$grace
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=$workdir/slurm-%j.log
${partition:+#SBATCH --partition=$partition
}${account:+#SBATCH --account=$account
}cd $(printf %q "$PWD")
export XLA_PYTHON_CLIENT_MEM_FRACTION=0.9
srun --cpus-per-task=$cpus_per_gpu --kill-on-bad-exit=0$(printf ' %q' "$python" -m glide_jax.main --config="$config" \
        --workdir="$workdir" --coordinator=auto "${rest[@]}")
EOF
)
if [ -n "${dry_run:-}" ]; then
    printf '%s\n' "$script"
fi
run mkdir -p "$workdir"
# A job of the same name waits until the one before has ended (--dependency=singleton).
for ((i = 0; i < repeat; i++)); do
    run sbatch <<<"$script"
done
