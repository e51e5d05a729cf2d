#!/usr/bin/env bash
# Tries on one Linux machine what two machines do: two network namespaces, joined by a cable of their
# own, each with a torchrun that starts one process. Needs root; the run folder is shared, as it has
# to be between real machines.
#
#   sudo env "PATH=$PATH" examples/two_machines.sh CONFIG [key=value ...] --out DIR
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }

cleanup() {
    ip netns delete facezoo0 2>/dev/null || true
    ip netns delete facezoo1 2>/dev/null || true
}
trap cleanup EXIT
cleanup
ip netns add facezoo0
ip netns add facezoo1
ip link add cable0 netns facezoo0 type veth peer name cable1 netns facezoo1
for machine in 0 1; do
    ip -n "facezoo$machine" addr add "10.77.0.1$machine/24" dev "cable$machine"
    ip -n "facezoo$machine" link set "cable$machine" up
    ip -n "facezoo$machine" link set lo up
done

start() { # machine, words of facezoo train
    local machine=$1
    shift
    # Without its name gloo would listen where the host name points to, which no other machine reaches.
    GLOO_SOCKET_IFNAME="cable$machine" ip netns exec "facezoo$machine" \
        torchrun --nnodes 2 --nproc-per-node 1 --rdzv-id facezoo --rdzv-backend c10d \
        --rdzv-endpoint 10.77.0.10:29500 --rdzv-conf "is_host=$((1 - machine))" \
        --local-addr "10.77.0.1$machine" \
        -m facezoo.cli train "$@"
}
start 0 "$@" &
first=$!
start 1 "$@"
wait "$first"
