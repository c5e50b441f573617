#!/usr/bin/env bash
# Train on GPUs of a Slurm cluster: one job with one process per GPU.
#
#     launch/slurm.sh --config NAME|FILE --workdir DIR --nodes N --gpus-per-node G [OPTION…]
#     launch/slurm.sh status --job-name NAME
#
#   --workdir DIR        gs://… or s3://…, or on a file system that all nodes share
#   --log-dir DIR        for the job's log; default: the workdir, of a bucket slurm/ here
#   --env A,B            variables of this shell that must go along; Slurm passes all that are set
#   --time LIMIT         as for sbatch; default: 24:00:00
#   --grace SECONDS      before the limit, to save a checkpoint; default: 300
#   --repeat N           jobs one after the other, each continuing the run; default: 1
#   --partition NAME, --account NAME, --cpus-per-gpu N   as for sbatch
#   --python PATH        of the environment; default: .venv/bin/python
#   --job-name NAME      default: glide_jax-CONFIG
#   -- --config.KEY=VALUE…   changes of the config
#   --dry-run            print the script and the commands without running them

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
time=24:00:00 grace=300 repeat=1 cpus_per_gpu=8 python=.venv/bin/python
parse_options "config workdir nodes gpus-per-node time grace repeat partition account cpus-per-gpu
 python job-name log-dir env" "" "$@"
if [ $action == status ]; then
    require job-name
    run squeue --name="$job_name" --format="%i %T %M of %l on %N %r"
    run sacct --name="$job_name" --format=JobID,State,ExitCode,Start,Elapsed --allocations
    exit
fi
require_config
require workdir nodes gpus-per-node
require_number nodes gpus-per-node grace repeat cpus-per-gpu
in_bucket "$workdir" || [[ $workdir == /* ]] ||
    die "--workdir=$workdir must be gs://… or s3://…, or absolute, the same on all nodes"
if [ -z "${log_dir:-}" ]; then
    if in_bucket "$workdir"; then log_dir=$PWD/slurm; else log_dir=$workdir; fi
fi
names_of "${env:-}" > /dev/null
[[ $time =~ ^([0-9]+-)?[0-9]+(:[0-9]+){0,2}$ ]] || die "--time=$time must have sbatch's format, such as 24:00:00"
job_name=${job_name:-glide_jax-$(basename "$config" .py)}

# JAX gives each Slurm task the GPU with its local number, so there is one task per GPU. The signal
# goes to the tasks, not to this script: they save a checkpoint and end. --kill-on-bad-exit=0: a task
# that ends must not take down the others while they save.
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
#SBATCH --output=$log_dir/slurm-%j.log
#SBATCH --export=ALL
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
run mkdir -p "$log_dir"
# A job waits until the earlier one of its name has ended (--dependency=singleton).
for ((i = 0; i < repeat; i++)); do
    run sbatch <<<"$script"
done
