#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# See the guard work, on any Debian 12, in about a minute: a real nginx in a network
# namespace, a flood of spoofed SYNs against it and real HTTP clients beside, three times:
# without defence, with the kernel's SYN cookies, with synwarden. The machine's own network,
# sysctls and nginx are not touched, and nothing is left, on Ctrl-C neither.

set -euo pipefail

usage()
{
	cat <<-'END'
	usage: sudo deploy/try.sh [--rate SYNS-PER-SECOND] [--seconds N] [--ipv6]
	  --rate     flood asked for, default 250000; what was reached is printed
	  --seconds  length of each of the three floods, 2 to 99, default 6
	END
}

RATE=250000 SECONDS_EACH=6 SERVER=10.9.0.2 URL_NAME=IPv4
CLIENTS_PER_S=200
while [ $# -gt 0 ]; do
	case $1 in
	--rate) RATE=${2-} && shift ;;
	--seconds) SECONDS_EACH=${2-} && shift ;;
	--ipv6) SERVER=fd09::2 URL_NAME=IPv6 ;;
	--inside) break ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	[ $# = 0 ] || shift
done
if ! [[ $RATE =~ ^[1-9][0-9]{0,7}$ && $SECONDS_EACH =~ ^([2-9]|[1-9][0-9])$ ]]; then
	usage >&2
	exit 2
fi
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8
cd "$(dirname "$(dirname "$(readlink -f "$0")")")"
SW=$PWD/build/synwarden FLOOD=$PWD/build/tests/flood PACED=$PWD/build/tests/paced

bold='' dim='' plain=''
if [ -t 1 ]; then
	bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# --- outside: install, build, and a room of its own -----------------------------------------

# waiting TEXT COMMAND...: a dot each second; output only if it fails
waiting()
{
	local text=$1 status=0
	shift
	printf '  %s ' "$text"
	# in a group of its own, which is ended as a whole: what installs clears up after itself
	set -m
	"$@" > "$tmp/log" 2>&1 < /dev/null &
	set +m
	child=$!
	while kill -0 $child 2> /dev/null; do
		sleep 1
		printf .
	done
	wait $child || status=$?
	child=
	if [ $status != 0 ]; then
		printf ' failed\n'
		tail -n 30 "$tmp/log" >&2
		exit 1
	fi
	printf ' done\n'
}

prepare()
{
	local missing
	missing=$(tests/install.sh -n build try | tr '\n' ' ')
	if [ -n "$missing" ]; then
		title "Installing what is missing"
		fold -s -w 76 <<< "$missing" | sed 's/^/  /'
		waiting "apt-get" tests/install.sh build try
	fi
	title "Building"
	waiting "make" make -j"$(nproc)" all build/tests/flood build/tests/paced
}

outside()
{
	local status=0
	if [ "$EUID" -ne 0 ]; then
		echo "try.sh makes network namespaces and loads BPF programs: sudo $0" >&2
		exit 2
	fi
	tmp=$(mktemp -d)
	child=
	trap 'end_child; give_back; rm -rf "$tmp"' EXIT
	trap stopped INT TERM HUP
	prepare
	unshare --mount --pid --fork --kill-child --mount-proc --net "$BASH" "$0" \
		--rate "$RATE" --seconds "$SECONDS_EACH" \
		${IPV6+--ipv6} --inside "$tmp" < /dev/null &
	child=$!
	wait $child || status=$?
	child=
	[ $status = 0 ] || exit $status
	last_words
}

stopped()
{
	trap '' INT TERM HUP
	echo
	end_child
	echo "stopped, all cleaned up"
	exit 130
}

end_child()
{
	[ -n "$child" ] || return 0
	# What has no group of its own is unshare, which blocks all signals but one: what runs inside
	# dies with its process namespace, mounts and networks with it.
	kill -TERM -- "-$child" 2> /dev/null || kill -KILL "$child" 2> /dev/null || true
	wait "$child" 2> /dev/null || true
	child=
}

# built as root in a user's clone: who builds there next is that user
give_back()
{
	if [ -n "${SUDO_UID-}" ] && [ -d build ] && [ "$(stat -c %u .)" = "$SUDO_UID" ]; then
		chown -R "$SUDO_UID:${SUDO_GID-}" build
	fi
}

last_words()
{
	local dev
	dev=$(ip -o route show default 2> /dev/null | sed -nE '1s/.* dev ([^ ]+).*/\1/p')
	title "To guard a real network card (--mode monitor counts only, and drops nothing):"
	cat <<-END
	  sudo build/synwarden attach ${dev:-eth0}
	  sudo build/synwarden service add any 80 --mode always
	  sudo build/synwarden status
	END
}

# --- inside: two namespaces, three runs -----------------------------------------------------
visitor() { nsenter --net=/run/netns/visitors "$@"; }
server() { nsenter --net=/run/netns/server "$@"; }

make_networks()
{
	local end ns dev n mac peer
	mount -t bpf bpf /sys/fs/bpf
	# the guard's lock and the names of the namespaces are not the machine's
	mount -t tmpfs -o mode=755 tmpfs /run
	mkdir /run/netns
	ip netns add visitors
	ip netns add server
	ip link add v0 netns visitors numtxqueues 1 numrxqueues 1 type veth \
		peer name s0 netns server numtxqueues 1 numrxqueues 1
	for end in "visitors v0 1 02:00:00:00:09:01 2 02:00:00:00:09:02" \
		"server s0 2 02:00:00:00:09:02 1 02:00:00:00:09:01"; do
		read -r ns dev n mac peer peermac <<< "$end"
		nsenter --net=/run/netns/"$ns" bash -euc "
			ip link set lo up
			ip link set $dev address $mac up
			ip addr add 10.9.0.$n/24 dev $dev
			ip addr add fd09::$n/64 dev $dev nodad
			ip neigh replace 10.9.0.$peer lladdr $peermac dev $dev
			ip neigh replace fd09::$peer lladdr $peermac dev $dev
			ethtool -K $dev gro off; ethtool -K $dev gro on"
	done
	# whoever the flood claims to be is behind the visitors
	server ip route add default via 10.9.0.1
	server ip route add default via fd09::1
}

start_nginx()
{
	mkdir "$tmp/nginx"
	cat > "$tmp/nginx/conf" <<-END
		user root;
		worker_processes 1;
		daemon off;
		pid $tmp/nginx/pid;
		error_log $tmp/nginx/error.log;
		events { worker_connections 4096; }
		http {
			access_log off;
			client_body_temp_path $tmp/nginx/b; proxy_temp_path $tmp/nginx/p;
			fastcgi_temp_path $tmp/nginx/f; uwsgi_temp_path $tmp/nginx/u;
			scgi_temp_path $tmp/nginx/s;
			server { listen 80; listen [::]:80; location / { return 200 "alive\n"; } }
		}
	END
	restart_nginx
}

# between the runs too: half-open connections of one must not stay for the next
restart_nginx()
{
	if [ -n "$nginx" ]; then
		kill "$nginx"
		wait "$nginx" || true
	fi
	nsenter --net=/run/netns/server taskset -c "$LAST" nginx -p "$tmp/nginx" \
		-c "$tmp/nginx/conf" -e "$tmp/nginx/error.log" &
	nginx=$!
	for _ in $(seq 100); do
		[ -z "$(server ss -HltnO 'sport = :80')" ] || return 0
		sleep 0.05
	done
	echo "nginx did not start: $(cat "$tmp/nginx/error.log")" >&2
	exit 1
}

# progress TEXT: a bar for as long as the flood runs
progress()
{
	local n bar
	for n in $(seq "$SECONDS_EACH"); do
		sleep 1
		[ -t 1 ] || continue
		bar=$(printf '%*s' "$n" '' | tr ' ' '#')
		printf '\r  %-36s [%-*s]' "$1" "$SECONDS_EACH" "$bar"
	done
	[ -t 1 ] || printf '  %-36s' "$1"
}

# run NAME TEXT: flood on the first CPU, clients and nginx on the last; results in $tmp/NAME.*
run()
{
	local name=$1 text=$2 flood
	visitor "$FLOOD" --dev v0 --dst "$SERVER" --dport 80 --dmac 02:00:00:00:09:02 --opts 20 \
		--rate "$RATE" --seconds "$SECONDS_EACH" --cpu 0 > "$tmp/$name.flood" 2>&1 &
	flood=$!
	progress "$text" &
	# the flood is on before the first client comes, and until after the last
	sleep 0.7
	visitor taskset -c "$LAST" "$PACED" --dst "$SERVER" --port 80 --rate $CLIENTS_PER_S \
		--seconds "$(awk -v s="$SECONDS_EACH" 'BEGIN { print s - 1.5 }')" \
		--timeout 3000 > "$tmp/$name.clients"
	wait $flood || { cat "$tmp/$name.flood" >&2; exit 1; }
	wait %% 2> /dev/null || true
	printf '  %s of %s clients served\n' "$(jq .ok "$tmp/$name.clients")" \
		"$(jq .tried "$tmp/$name.clients")"
}

group() { sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta'; }

# row TEXT FORMAT JQ: of flood and clients of a run, one column each
row()
{
	local name text=$1 format=$2 filter=$3 value
	printf '  %-30s' "$text"
	for name in none kernel guard; do
		value=$(tail -n 1 "$tmp/$name.flood" | jq -r -s "(.[0]) as \$f | (.[1]) as \$c | $filter" \
			- "$tmp/$name.clients")
		# shellcheck disable=SC2059 # the format is the row's
		[ "$value" = - ] || value=$(printf "$format" "$value" | group)
		printf '%15s' "$value"
	done
	printf '\n'
}

# shellcheck disable=SC2016 # these are jq's variables
print_table()
{
	title "200 clients/s beside a flood of spoofed SYNs on one core, $URL_NAME"
	printf '  %s%-30s%15s%15s%15s%s\n' "$bold" "" "no defence" "kernel cookies" "synwarden" "$plain"
	printf '  %s%-30s%15s%15s%15s%s\n' "$dim" "" "syncookies=0" "syncookies=1" "" "$plain"
	row "spoofed SYNs sent, per s" "%.0f" '$f.pps'
	row "of them answered, per s" "%.0f" '$f.synacks / $f.seconds'
	row "clients served, %" "%.1f" '100 * $c.ok / $c.tried'
	row "their median, ms" "%.2f" 'if $c.ok > 0 then $c.p50_ms else "-" end'
	row "their slowest 1 %, ms" "%.2f" 'if $c.ok > 0 then $c.p99_ms else "-" end'
	echo "  ${dim}connect, GET and whole reply; a client gives up after 3 s${plain}"
}

print_reasons()
{
	title "What synwarden did, by reason"
	server "$SW" stats -j | jq -r '.[] | select(.packets > 0) |
		[.reason, .verdict, .packets] | @tsv' |
		sort -t $'\t' -k3,3nr | while IFS=$'\t' read -r reason verdict packets; do
		printf '  %-18s %-5s %11s  %s\n' "$reason" "$verdict" "$(group <<< "$packets")" \
			"$(sed -nE "s/.*\"$reason\", \"(.{1,38}).*\"\) \\\\$/\1/p" include/sw_reasons.h)"
	done
	printf '  half-open connections on the host: %s; %s\n' "$half_open" "$(server "$SW" status -j |
		jq -r '"engine \(.engine), XDP \(.devices[0].mode)"')"
}

inside()
{
	LAST=$(($(nproc) - 1)) nginx=
	make_networks
	start_nginx
	title "Three floods of $SECONDS_EACH s, $RATE SYN/s asked for"
	server sysctl -qw net.ipv4.tcp_syncookies=0
	run none "1/3 no defence"
	restart_nginx
	server sysctl -qw net.ipv4.tcp_syncookies=1
	run kernel "2/3 the kernel's SYN cookies"
	restart_nginx
	server "$SW" attach s0 > "$tmp/attach" 2>&1 || { cat "$tmp/attach" >&2; exit 1; }
	server "$SW" service add any 80 --mode always
	run guard "3/3 synwarden"
	half_open=$(server ss -tanH state syn-recv | wc -l)
	print_table
	print_reasons
	server "$SW" detach --all
}

if [ "${1-}" = --inside ]; then
	tmp=$2
	inside
else
	[ $URL_NAME = IPv4 ] || IPV6=1
	outside
fi
