#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# redis-server, with threads of its own and a fork for each snapshot, driven
# by its benchmark over a Unix socket.
. "$(dirname "$0")/common.sh"
need redis-benchmark redis-cli
# Debian's redis-server would start a service; the same program is in
# redis-tools, and goes by the name that it is called by.
server_program=$(command -v redis-server) || {
	need redis-check-rdb
	mkdir "$tmp/bin" || exit 99
	server_program=$tmp/bin/redis-server
	ln -s "$(command -v redis-check-rdb)" "$server_program"
}

server=
trap 'kill -9 $server 2>/dev/null; sleep 0.1; put_back; rm -rf "$tmp"' EXIT

start() # WAY
{
	mkdir "$tmp/$1"
	set -- "$1" "$server_program" --port 0 --unixsocket "$tmp/$1/s" --dir "$tmp/$1" \
		--save '' --daemonize no --logfile "$tmp/$1/log"
	way=$1
	shift
	[ "$way" = shim ] && set -- "$CONTIG" run --report=json:"$tmp/report" -- "$@"
	"$@" >"$tmp/$way/out" 2>&1 </dev/null &
	server=$!
	i=0
	until redis-cli -s "$tmp/$way/s" ping >/dev/null 2>&1; do
		i=$((i + 1))
		[ $i -gt 600 ] && { wrong "redis-server ($way) does not answer"; cat "$tmp/$way"/*; exit 1; }
		sleep 0.05
	done
}

cli()
{
	redis-cli -s "$tmp/$way/s" "$@"
}

work() # > what it answered
{
	redis-benchmark -s "$tmp/$way/s" -q -n 5000 -c 8 -P 16 -d 300 -r 4000 \
		-t set,get,incr,lpush,rpop,sadd,hset,zadd,mset >/dev/null || wrong "redis-benchmark: $?"
	cli flushall
	# Always the same data.
	seq 1 20000 | awk '{ printf "SET key:%d %0*d\n", $1, $1 % 900 + 1, $1
		printf "RPUSH list:%d %d\n", $1 % 50, $1
		printf "HSET hash:%d f%d v%d\n", $1 % 10, $1, $1
		printf "ZADD z %d m%d\n", $1 % 777, $1 }' | cli | grep -vE '^(OK|[0-9]+)$'
	cli setrange large 3000000 x
	cli append large 12345
	cli strlen large
	cli bgsave
	i=0
	while cli info persistence | grep -q 'rdb_bgsave_in_progress:1'; do
		i=$((i + 1))
		[ $i -gt 1200 ] && { wrong "bgsave does not end"; break; }
		sleep 0.05
		cli set "during:$i" "$i" >/dev/null
	done
	cli info persistence | grep rdb_last_bgsave_status
	for n in $(seq 1 400); do
		cli del "during:$n"
	done >/dev/null
	cli debug reload
	cli debug digest
	cli dbsize
	cli zrangebyscore z 5 6
}

for way in plain shim; do
	start $way
	work >"$tmp/$way/answers" 2>&1
	cli shutdown nosave
	wait $server
	got=$?
	[ $got -eq 0 ] || wrong "redis-server ($way): exit $got: $(tail -5 "$tmp/$way/log")"
	grep -qiE 'crash|assert|fork: ' "$tmp/$way/log" && wrong "$way: $(grep -iE 'crash|assert|fork: ' "$tmp/$way/log")"
done
server=
diff "$tmp/plain/answers" "$tmp/shim/answers" >"$tmp/diff" || {
	wrong "redis answers otherwise:"
	head -20 "$tmp/diff"
}
[ "$(wc -l <"$tmp/shim/answers")" -gt 10 ] || wrong "too few answers"
used redis "t['calls_large'] > 10 and t['forks_refused'] == 0"
finish
