#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sqlite3: inserts, indices, sorts and joins, in memory and in a file.
. "$(dirname "$0")/common.sh"
need sqlite3

cat >"$tmp/work.sql" <<'SQL'
pragma cache_size = -65536;
create table t (a integer primary key, b text, c blob);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000)
insert into t select i, printf('%08x', i * 2654435761 % 4294967296), zeroblob(i % 700) from n;
create index tb on t (b);
update t set b = upper(b) || a where a % 3 = 0;
delete from t where a % 7 = 0;
select count(*), sum(length(c)), min(b), max(b) from t;
select substr(b, 1, 2) k, count(*) c from t group by k order by c desc, k limit 20;
select count(*) from t x join t y on y.b = x.b where x.a < 20000;
select group_concat(b) from (select b from t order by b desc limit 5000);
vacuum;
pragma integrity_check;
SQL
same "in memory" sqlite3 :memory: ".read $tmp/work.sql"
used "in memory" "t['calls_large'] > 0"
for way in plain shim; do
	with=
	[ $way = shim ] && with="under --"
	# shellcheck disable=SC2086
	$with sqlite3 "$tmp/$way.db" ".read $tmp/work.sql" >"$tmp/$way.out" 2>&1 ||
		wrong "sqlite3, $way: exit $?"
done
cmp "$tmp/plain.out" "$tmp/shim.out" || wrong "a file: the output differs"
cmp "$tmp/plain.db" "$tmp/shim.db" || wrong "a file: the database differs"
used "a file"
finish
