#!/usr/bin/env bash
# One job on two hosts over TCP: tests/ranks, of which a rank runs on each. The hosts are two network namespaces with a cable
# between them, and a name and an address each; what `ssh` would do, a script of three lines does.
#
#   tests/two_hosts.sh [flags of cargo, --features mpi if there are none]
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
  echo "skipped: $*"
  exit 0
}
command -v ip > /dev/null || skip "no ip, of the package iproute2"
command -v mpirun > /dev/null || skip "no mpirun, of the package openmpi-bin"
[[ $(id -u) == 0 ]] || skip "network namespaces are root's to make"

names=("dlrm-$$-1" "dlrm-$$-2") addresses=(10.77.0.1 10.77.0.2)
scratch=$(mktemp -d)
job=
clean_up() {
  [[ -z $job ]] || kill "$job" 2> /dev/null || true
  for name in "${names[@]}"; do
    ip netns pids "$name" 2> /dev/null | xargs -r kill 2> /dev/null || true
    ip netns del "$name" 2> /dev/null || true # and the end of the cable that is in it
  done
  rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

ip netns add "${names[0]}" 2> "$scratch/why" || skip "no network namespaces: $(head -n 1 "$scratch/why")"
ip netns add "${names[1]}"
ip -n "${names[0]}" link add cable type veth peer name cable netns "${names[1]}"
for host in 0 1; do
  ip -n "${names[host]}" address add "${addresses[host]}/24" dev cable
  ip -n "${names[host]}" link set lo up
  ip -n "${names[host]}" link set cable up
  echo "${addresses[host]} slots=1" >> "$scratch/hosts"
done

# on ADDRESS COMMAND…: as `ssh` would, by a shell of that host.
cat > "$scratch/on" << END
#!/bin/sh
name=dlrm-$$-\${1##*.}; shift
exec ip netns exec \$name unshare --uts sh -c "hostname \$name && \$*"
END
chmod +x "$scratch/on"

program=$(cargo test -p dlrm "${@:---features=mpi}" --test ranks --no-run --message-format json 2> "$scratch/cargo" |
  sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1) || { cat "$scratch/cargo" >&2; exit 1; }

# mpirun ROLE: what its ranks say, in $scratch/said. Nothing but TCP between the addresses: no shared memory.
mpirun() {
  "$scratch/on" "${addresses[0]}" exec env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 DLRM_TEST_RANK="$1" \
    timeout 300 mpirun -n 2 --hostfile "$scratch/hosts" --map-by node -x DLRM_TEST_RANK \
    --mca plm_rsh_agent "$scratch/on" --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24 \
    --mca oob_tcp_if_include 10.77.0.0/24 "$program" --exact mpi::a_rank --nocapture > "$scratch/said" 2>&1 &
  job=$!
  local status=0
  wait "$job" || status=$?
  job=
  return "$status"
}
fail() {
  cat "$scratch/said"
  echo "two hosts: $*"
  exit 1
}
# What host $1 put on its cable so far, in bytes.
on_the_cable() { ip netns exec "${names[$1]}" cat /sys/class/net/cable/statistics/tx_bytes; }

before=("$(on_the_cable 0)" "$(on_the_cable 1)")
mpirun train || fail "two ranks on two hosts do not train what one does"
for rank in 0 1; do
  line=$(grep -a "rank $rank of 2 .*: the same as one" "$scratch/said") || fail "nothing from rank $rank"
  [[ $line == *" on ${names[rank]}: "* ]] || fail "rank $rank is not on its host"
  sent=$(sed 's/.*, \([0-9]*\) bytes sent.*/\1/' <<< "$line")
  moved=$(($(on_the_cable "$rank") - before[rank]))
  ((sent > 0 && moved >= sent)) || fail "rank $rank sent $sent bytes, and its host $moved"
  echo "rank $rank, ${addresses[rank]}: the same as one; $sent bytes to the other, $moved on the cable"
done

if mpirun die; then fail "rank 1 ended, and the job went on"; fi
grep -aq "rank 1 gives up" "$scratch/said" || fail "rank 1 should have said why"
echo "a rank that ends on the other host ends the job"
