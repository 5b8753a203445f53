#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Work of programs that others wrote, for bench_preload.
#
#	preload_work.sh prepare DIR     inputs; prints the names of what can run
#	preload_work.sh NAME DIR        do it once, under $BENCH_WITH (env's words)
dir=$2
with()
{
	# shellcheck disable=SC2086
	exec env $BENCH_WITH "$@" >/dev/null
}

here()
{
	for program; do
		command -v "$program" >/dev/null || return 1
	done
}

python=/usr/bin/python3
[ -x $python ] || python=$(command -v python3)

prepare()
{
	seq 1 1500000 | awk '{ print ($1 * 7919) % 1000003, $1, "some text" }' >"$dir/lines"
	if here sort; then echo sort; fi
	cat >"$dir/documents.py" <<'PY'
import json
d = [{"id": i, "name": "n" * (i % 97), "tags": [str(i * k) for k in range(9)]} for i in range(60000)]
for _ in range(3):
    s = json.dumps(d)
    d = json.loads(s)
PY
	cat >"$dir/arrays.py" <<'PY'
import zlib
keep = []
for i in range(400):
    b = bytearray(i * 4099)
    b[::64] = b"x" * len(b[::64])
    keep.append(bytes(b))
    if i % 7 == 0:
        keep = keep[len(keep) // 2:]
print(len(zlib.compress(b"".join(keep), 1)))
PY
	if here "$python"; then echo python-json python-arrays; fi
	cat >"$dir/work.sql" <<'SQL'
create table t (a integer primary key, b text, c blob);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 400000)
insert into t select i, printf('%08x', i * 2654435761 % 4294967296), zeroblob(i % 500) from n;
create index tb on t (b);
select count(*), sum(length(c)) from t where b > '8';
select substr(b, 1, 3) k, count(*) c from t group by k order by c desc limit 20;
select count(*) from t x join t y on y.b = x.b where x.a < 200000;
SQL
	if here sqlite3; then echo sqlite; fi
	awk 'BEGIN { print "int f(int x){switch(x){"
		for (i = 0; i < 1500; i++)
			printf "case %d: x=x*%d+%d; if(x%%%d) x^=%d; break;\n", i, i+3, i*7, i+2, i
		print "} return x;}" }' >"$dir/large.c"
	if here gcc; then echo gcc; fi
	cat >"$dir/work.pl" <<'PL'
my (%h, @a);
for my $i (1 .. 500000) { $h{"k" . ($i * 7919 % 300007)} .= "v$i"; push @a, [$i, "x" x ($i % 50)]; }
delete $h{$_} for grep { /7$/ } keys %h;
print scalar(keys %h), "\n";
PL
	if here perl; then echo perl; fi
	if here git && git -C "$(dirname "$0")" rev-parse HEAD >/dev/null 2>&1 &&
	   git clone -q --no-hardlinks "$(git -C "$(dirname "$0")" rev-parse --show-toplevel)" \
		"$dir/repository" 2>/dev/null; then
		echo git-log git-repack
	fi
	cat >"$dir/Work.java" <<'JAVA'
import java.util.*;
public class Work {
	public static void main(String[] a) {
		Map<String, StringBuilder> m = new HashMap<>();
		for (int i = 0; i < 1500000; i++)
			m.computeIfAbsent("k" + i * 7919 % 300007, k -> new StringBuilder()).append(i);
		System.out.println(m.values().stream().mapToInt(StringBuilder::length).sum());
	}
}
JAVA
	if here java && java "$dir/Work.java" >/dev/null 2>&1; then echo java; fi
	if here redis-server redis-benchmark redis-cli; then echo redis; fi
	if here stress-ng; then echo stress-malloc; fi
	prepare_postgres
}

# As somebody without privilege: postgres refuses root.
as_user()
{
	if [ "$(id -u)" -eq 0 ]; then
		setpriv --reuid=65534 --regid=65534 --clear-groups --reset-env "$@"
	else
		"$@"
	fi
}

prepare_postgres()
{
	bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
	[ -n "$bin" ] && [ -x "$bin/initdb" ] || return 0
	mkdir "$dir/pg" && chmod 777 "$dir/pg" && chmod 755 "$dir" || return 0
	as_user "$bin/initdb" -D "$dir/pg/data" -N >/dev/null 2>&1 || return 0
	cat >>"$dir/pg/data/postgresql.conf" <<PG
huge_pages = off
listen_addresses = ''
unix_socket_directories = '$dir/pg'
fsync = off
shared_buffers = 64MB
PG
	echo "$bin" >"$dir/pg/bin"
	echo postgres
}

redis()
{
	# shellcheck disable=SC2086
	env $BENCH_WITH redis-server --port 0 --unixsocket "$dir/s" --dir "$dir" --save '' \
		>/dev/null 2>&1 &
	server=$!
	trap 'kill -9 $server 2>/dev/null' EXIT
	until redis-cli -s "$dir/s" ping >/dev/null 2>&1; do sleep 0.01; done
	redis-benchmark -s "$dir/s" -q -n 120000 -c 20 -P 16 -d 400 -r 50000 -t set,get,lpush,hset \
		>/dev/null
	redis-cli -s "$dir/s" shutdown nosave 2>/dev/null
	wait $server
	trap - EXIT
}

postgres()
{
	bin=$(cat "$dir/pg/bin")
	# shellcheck disable=SC2086
	as_user env $BENCH_WITH "$bin/postgres" -D "$dir/pg/data" >/dev/null 2>&1 &
	until as_user "$bin/pg_isready" -q -h "$dir/pg"; do sleep 0.02; done
	as_user "$bin/pgbench" -q -i -s 4 -h "$dir/pg" postgres >/dev/null 2>&1 &&
	as_user "$bin/pgbench" -h "$dir/pg" -c 2 -t 1500 postgres >/dev/null 2>&1
	status=$?
	as_user "$bin/pg_ctl" -D "$dir/pg/data" -m fast stop >/dev/null 2>&1
	wait
	return $status
}

case $1 in
prepare) prepare ;;
sort) LC_ALL=C with sort -S 256M --parallel=2 -k1,1n "$dir/lines" ;;
python-json) with "$python" "$dir/documents.py" ;;
python-arrays) with "$python" "$dir/arrays.py" ;;
sqlite) with sqlite3 :memory: ".read $dir/work.sql" ;;
gcc) with gcc -O2 -S -o /dev/null "$dir/large.c" ;;
perl) with perl "$dir/work.pl" ;;
java) with java "$dir/Work.java" ;;
git-log) with git -C "$dir/repository" --no-pager log -p --stat -M ;;
git-repack) with git -C "$dir/repository" repack -q -a -d -f ;;
redis) redis ;;
stress-malloc) with stress-ng --quiet --temp-path "$dir" --malloc 2 --malloc-ops 20000 --malloc-max 64 \
	--malloc-bytes 1M --malloc-touch ;;
postgres) postgres ;;
*) exit 2 ;;
esac
