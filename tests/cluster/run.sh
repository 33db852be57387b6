#!/usr/bin/env bash
# Runs jobs on a real SLURM: starts munged, slurmctld and two slurmd on this machine, in a temporary folder and on free
# ports, and stops them at the end. Needs root and Debian's slurmctld, slurmd, slurm-client and munge.
#
#   PYTHON=.venv/bin/python tests/cluster/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=$(realpath -s "${PYTHON:-.venv/bin/python}")
FOLDER=$(mktemp -d)
PATH=$PATH:/usr/sbin
waiting=

# --- the cluster --------------------------------------------------------------------------------------------------
stop() {
    status=$?
    trap - EXIT
    set +e
    ((status == 0)) || { squeue; tail -n 30 "$FOLDER"/*.txt "$FOLDER"/sweeps/*/.submitit/*/*.err "$FOLDER"/slurm*.log; }
    scancel --quiet --full --signal=KILL --user="$(id -un)"
    scancel --quiet --user="$(id -un)"
    for pid in $waiting $(cat "$FOLDER"/*.pid); do kill "$pid"; done 2>/dev/null
    sleep 2
    rm -rf "$FOLDER"
    exit $status
}
trap stop EXIT

chmod 755 "$FOLDER"
mkdir "$FOLDER/state" "$FOLDER/munge"
dd if=/dev/urandom of="$FOLDER/munge/key" bs=1024 count=1 status=none
chmod 400 "$FOLDER/munge/key"
munged --force --socket="$FOLDER/munge/socket" --key-file="$FOLDER/munge/key" --pid-file="$FOLDER/munged.pid" \
    --log-file="$FOLDER/munge/log" --seed-file="$FOLDER/munge/seed"
read -r port0 port1 port2 < <("$PYTHON" -c '
import socket
sockets = [socket.socket() for _ in range(3)]
for each in sockets: each.bind(("127.0.0.1", 0))
print(*sorted(each.getsockname()[1] for each in sockets))')
host=$(hostname -s)
# two nodes on this machine, with names that lead to it; credentials of 10 s, since a requeued job waits until its old ones expire
cat > "$FOLDER/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthInfo=socket=$FOLDER/munge/socket,cred_expire=10
SlurmctldPort=$port0
StateSaveLocation=$FOLDER/state
SlurmdSpoolDir=$FOLDER/spool.%n
SlurmctldPidFile=$FOLDER/slurmctld.pid
SlurmdPidFile=$FOLDER/slurmd.%n.pid
SlurmctldLogFile=$FOLDER/slurmctld.log
SlurmdLogFile=$FOLDER/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=5
SchedulerParameters=sched_interval=2
NodeName=127.0.0.[2-3] NodeHostname=$host NodeAddr=127.0.0.[2-3] Port=[$port1,$port2] CPUs=4 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES State=UP
CONF
export SLURM_CONF=$FOLDER/slurm.conf
slurmctld
for node in 127.0.0.2 127.0.0.3; do
    mkdir "$FOLDER/spool.$node"
    slurmd -N "$node"
done

# --- what runs on it ----------------------------------------------------------------------------------------------
export OMP_NUM_THREADS=1 PYTHONPATH=$PWD AACH_CACHE=$FOLDER/cache
small=(data.pairs=60 data.image_size=32 split.query=10 split.train=40 image_net@target.image_net=small_cnn
    image_net@surrogate.image_net=small_cnn +target.image_net.backbone.width=32 +surrogate.image_net.backbone.width=32
    target.text_net.backbone.width=32 surrogate.text_net.backbone.width=32 target.code_length=16 target.batch_size=20
    target.epochs=2 target.validation=8 budget.pairs=30 surrogate.batch_size=10 surrogate.epochs=300 attack.steps=100
    attack.batch_size=1 evaluation.queries=6 evaluation.held_out=10 evaluation.picture_rows=2 evaluation.white_box=false)
two=(trainer=ddp trainer.devices=2)
started=$SECONDS

say() { echo "$(printf '%4d s' $((SECONDS - started)))  $*"; }

fail() {
    say "FAILED: $*"
    exit 1
}

submit() { # STORE FOLDER OVERRIDES: jobs of two processes each; Hydra waits for them, in the background
    local name=$2
    AACH_STORE=$FOLDER/$1 AACH_STAMP=$name "$PYTHON" attack.py -m hydra/launcher=slurm hydra.launcher.cpus_per_task=1 \
        hydra.launcher.mem_gb=null hydra.launcher.timeout_min=9 hydra.sweep.dir="$FOLDER/sweeps/\${oc.env:AACH_STAMP}" \
        "${small[@]}" "${two[@]}" "${@:3}" > "$FOLDER/$name.txt" 2>&1 &
    waiting=$!
}

until_there() { # PATTERN COUNT: wait for files
    for ((i = 0; i < 1200; i++)); do
        (($(compgen -G "$1" | wc -l) >= $2)) && return
        sleep 0.1
    done
    fail "no $1"
}

until_idle() {
    for ((i = 0; i < 600; i++)); do
        [[ -z $(squeue --noheader) ]] && return
        sleep 1
    done
    fail "jobs do not end"
}

same() { # A B: equal results but for times and hardware
    "$PYTHON" - "$@" <<'PY' || fail "$1 and $2 differ"
import json, pathlib, sys
one, other = (json.loads(pathlib.Path(name).read_text()) for name in sys.argv[1:3])
for found in (one, other):
    del found["stages"], found["config"]["trainer"]
sys.exit(one != other)
PY
}

say "a sweep of two jobs, each with two processes"
submit whole whole seed=0,1
wait $waiting
for job in 0 1; do [[ -f $FOLDER/sweeps/whole/$job/result.json ]] || fail "no result of job $job"; done
(($(compgen -G "$FOLDER/sweeps/*" | wc -l) == 1)) || fail "more than one folder for one sweep"

say "the same on an empty store, and jobs are stopped on the way"
submit broken broken seed=0,1
until_there "$FOLDER/broken/surrogate/*.building/checkpoints/last.ckpt" 2
array=$(squeue --noheader --format=%F | head -n 1)
scancel --signal=USR2 "${array}_0"
say "job 0 was told that its time is up: it goes back to the queue by itself"
scontrol requeue "${array}_1"
say "job 1 was sent back to the queue"
until_there "$FOLDER/broken/attack/*.building/batch-*.safetensors" 1
killed=$(squeue --noheader --states=running --format=%i | head -n 1)
scancel --signal=KILL "$killed"
say "job $killed was killed while it crafted"
until_idle
grep -q "this job is timed-out" "$FOLDER/sweeps/broken/.submitit/${array}_0/"*.err || fail "the signal was not heard"
(($(grep -l "continuing after epoch" "$FOLDER"/sweeps/broken/[01]/attack.log | wc -l) == 2)) || fail "trained anew"
(($(compgen -G "$FOLDER/sweeps/broken/*/result.json" | wc -l) == 1)) || fail "the kill hit nothing"
kill $waiting # without accounting it cannot know that a job was killed, and would wait for it for ever

say "the same command again"
submit broken again seed=0,1
wait $waiting
for job in 0 1; do same "$FOLDER/sweeps/whole/$job/result.json" "$FOLDER/sweeps/again/$job/result.json"; done
grep -q "continuing the unfinished build" "$FOLDER/sweeps/again/${killed#*_}/attack.log" || fail "crafted anew"
grep -q "result: found" "$FOLDER/sweeps/again/$((1 - ${killed#*_}))/attack.log" || fail "a finished job was repeated"

say "a job that fails"
submit broken failing attack.epsilon=-1,8
if wait $waiting; then fail "status 0"; fi
grep -q "ConfigError.*attack.epsilon=-1" <(tr '\n' ' ' < "$FOLDER/sweeps/failing/0/error.txt") || fail "no error.txt"
same "$FOLDER/sweeps/whole/0/result.json" "$FOLDER/sweeps/failing/1/result.json"

say "srun without Hydra's launcher: one process on each of two nodes"
AACH_STORE=$FOLDER/nodes srun --nodes=2 --ntasks-per-node=1 "$PYTHON" attack.py "${small[@]}" trainer=ddp \
    trainer.devices=1 trainer.num_nodes=2 hydra.run.dir="$FOLDER/runs/\${oc.env:AACH_STAMP}" > "$FOLDER/nodes.txt" 2>&1
same "$FOLDER/sweeps/whole/0/result.json" "$FOLDER"/runs/slurm-*.0/result.json

say "a batch script without srun is one process, whatever was allocated"
AACH_STORE=$FOLDER/batch sbatch --wait --ntasks=2 --output="$FOLDER/batch.txt" --wrap \
    "$PYTHON attack.py ${small[*]} hydra.run.dir=$FOLDER/batch_run" > /dev/null
AACH_STORE=$FOLDER/alone "$PYTHON" attack.py "${small[@]}" hydra.run.dir="$FOLDER/alone_run" > "$FOLDER/alone.txt" 2>&1
same "$FOLDER/batch_run/result.json" "$FOLDER/alone_run/result.json"

say "processes that the configuration does not know are refused"
if AACH_STORE=$FOLDER/refused srun --ntasks=2 "$PYTHON" attack.py "${small[@]}" hydra.run.dir="$FOLDER/refused" \
    > "$FOLDER/refused.txt" 2>&1; then fail "two processes did the same work"; fi
grep -q "trainer.devices=1, trainer.num_nodes=1: the launcher has started 2" "$FOLDER/refused.txt" || fail "no reason"

say "passed"
