#!/usr/bin/env bash
# A job array over seeds, each a run of its own; a job that is requeued goes on where it stood.
#
#   sbatch examples/slurm.sh runs/wide --width 256 --time 2
#
# The first argument is the folder of all runs, the others are options of `speedlimits run`.
#SBATCH --job-name=speedlimits
#SBATCH --array=0-5
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

folder=${1:?"the folder of all runs is the first argument"}
shift
seed=$SLURM_ARRAY_TASK_ID
run=$folder/seed-$(printf %05d "$seed")

# Weights, sums and generators are kept every two seconds: even a job that is killed loses no more.
if [[ -e $run/config.toml ]]; then
  exec speedlimits run --out "$run" --resume --workers 1
fi
exec speedlimits run --out "$run" --seeds "$seed" --workers 1 "$@"
