#!/usr/bin/env bash
# Training on a Cloud TPU slice of spot capacity, one process a host; as often as the slice is taken away, another one is
# asked for and the run goes on:
#
#   launch/pods/cloud_tpu.sh NAME ZONE TYPE --experiment=p1_fig4 --preset=paper --workdir=/mnt/runs/p1_fig4
#
# TYPE is an accelerator type, v5litepod-16 for instance. Everything after it goes to diffgeo train; the folder must be
# one that all hosts see (Filestore). DIFFGEO_SETUP is a command that makes a new host ready, for instance
#
#   sudo mkdir -p /mnt/runs && sudo mount 10.0.0.2:/runs /mnt/runs && python3 -m venv ~/diffgeo &&
#   ~/diffgeo/bin/pip install /mnt/runs/diffgeo-0.2.0-py3-none-any.whl 'jax[tpu]'
#
# The slice is given back when training ends, or has failed three times on slices that stand. The representations are
# measured afterwards, on any machine that sees the folder: diffgeo analyze --workdir=/mnt/runs/p1_fig4
set -euo pipefail
name=$1 zone=$2 type=$3
shift 3
runtime=${DIFFGEO_TPU_RUNTIME:-v2-alpha-tpuv5-lite}

# the hosts find each other by the TPU's metadata; no environment variable names them, so auto would not see them
printf -v arguments '%q ' --distributed=on --noanalyze "$@"

queued() { # COMMAND ARGUMENTS...
    local command=$1
    shift
    gcloud compute tpus queued-resources "$command" "$name" --zone="$zone" "$@"
}

state() { # ACTIVE, SUSPENDED, WAITING_FOR_RESOURCES, ...; NONE: there is no such request
    queued describe --format='value(state.state)' 2>/dev/null || echo NONE
}

on_all_hosts() { # COMMAND
    gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$1"
}

ready=false failures=0
while true; do
    case $(state) in
    NONE)
        ready=false
        queued create --node-id="$name" --accelerator-type="$type" --runtime-version="$runtime" --spot
        ;;
    ACTIVE)
        if { $ready || on_all_hosts "${DIFFGEO_SETUP:-true}"; } &&
            ready=true && on_all_hosts "\$HOME/diffgeo/bin/diffgeo train $arguments"; then
            queued delete --force --quiet
            exit 0
        fi
        if [ "$(state)" = ACTIVE ]; then
            failures=$((failures + 1))
            if [ "$failures" -eq 3 ]; then
                echo "failed three times on a slice that stands: see what it said above" >&2
                queued delete --force --quiet
                exit 1
            fi
        fi
        ;;
    SUSPENDED | FAILED)
        queued delete --force --quiet
        ;;
    *)
        sleep 60
        ;;
    esac
done
