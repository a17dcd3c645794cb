#!/usr/bin/env bash
# A run on a Cloud TPU slice that exists, one process a host:
#
#   launch/pods/cloud_tpu.sh NAME ZONE --experiment=p1_fig4 --preset=paper --workdir=/mnt/runs/p1_fig4
#
# Everything after the zone goes to launch.train; the folder must be one that all hosts see (Filestore). The hosts hold
# this repository in ~/diffgeo, installed with `pip install -e . 'jax[tpu]'`. Run again after a pre-emption, it continues
# where it stopped.
set -euo pipefail
name=$1 zone=$2
shift 2

# the hosts find each other by the TPU's metadata; no environment variable names them, so auto would not see them
printf -v arguments '%q ' --distributed=on "$@"
exec gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
    --command="cd ~/diffgeo && exec python -m launch.train $arguments"
