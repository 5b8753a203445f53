#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Help, parser, man page and completion know the same commands and options.
. "$(dirname "$0")/common.sh"

# --help, -h, --version, -V: standard output, exit 0, silent on stderr.
help_options()
{
	run 0 "$@" --help
	[ -s "$tmp/err" ] && wrong "contig $* --help: writes on stderr"
	grep -oE -- '(^|[ ,])--[a-z][a-z-]+' "$tmp/out" | grep -oE -- '--.*' | sort -u
}

page_options()
{
	sed -n 's/^\.It Fl \(.*\)/\1/p' "$1" | grep -oE -- '(^|, )-[a-z][a-z-]+' |
		sed 's/^, //; s/^/-/' | sort -u
}

completion_options()
{
	bash -c '. "$1"; v=_contig_options_$2; printf "%s\n" ${!v}' sh \
		"$srcdir/tools/contig.bash" "$1" | sort -u
}

same()
{
	[ -s "$tmp/$2" ] || wrong "$1: nothing in $2"
	cmp -s "$tmp/$2" "$tmp/$3" || {
		wrong "$1: $2 (<) and $3 (>) differ:"
		diff "$tmp/$2" "$tmp/$3" | grep '^[<>]'
	}
}

command -v bash >/dev/null || skip "no bash"

# The commands themselves.
run 0 --help
sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$tmp/out" | sort >"$tmp/help"
sed -n 's/^\.It Cm \([a-z]*\)$/\1/p' "$srcdir/man/contig.1" | sort >"$tmp/man"
bash -c '. "$1"; printf "%s\n" $_contig_commands' sh "$srcdir/tools/contig.bash" |
	sort >"$tmp/completion"
ls "$srcdir"/tools/cmd_*.c | sed 's/.*cmd_\(.*\)\.c/\1/' | sort >"$tmp/source"
same commands help man
same commands help completion
same commands help source
commands=$(cat "$tmp/help")

# Options of contig itself: the man page lists more, those of all commands.
help_options >"$tmp/help"
completion_options main >"$tmp/completion"
same contig help completion
page_options "$srcdir/man/contig.1" >"$tmp/man"
[ -z "$(comm -23 "$tmp/help" "$tmp/man")" ] || wrong "contig.1 lacks an option"

for command in $commands; do
	# Statuses below 125 are the program's that it starts.
	trouble=2
	[ "$command" = run ] && trouble=125
	help_options "$command" >"$tmp/help"
	page_options "$srcdir/man/contig-$command.1" >"$tmp/man"
	completion_options "$command" >"$tmp/completion"
	same "$command" help man
	same "$command" help completion

	# The parser knows each: it complains of something else, if at all.
	for option in $(cat "$tmp/help"); do
		"$CONTIG" "$command" "$option=?" -Z >"$tmp/out" 2>"$tmp/err" </dev/null
		grep -q -- "$option.*: no such option" "$tmp/err" && wrong "$command $option: unknown"
	done

	# Columns: what completion offers is what the parser takes, and no more.
	columns=$(bash -c '. "$1"; _contig_columns "$2"' sh "$srcdir/tools/contig.bash" "$command" |
		tr ' ' '\n' | sort)
	case $command in replay | alloc) operand=/nonexistent ;; *) operand= ;; esac
	[ "$command" = alloc ] && operand=4K
	[ "$command" = map ] && operand=self
	[ "$command" = check ] && operand='self 0 1'
	[ "$command" = run ] && operand=true
	# shellcheck disable=SC2086
	run $trouble "$command" -o nonsense $operand
	known=$(sed -n 's/.*no such column (\(.*\)).*/\1/p' "$tmp/err" | tr -d ' ' | tr , '\n' | sort)
	[ "$columns" = "$known" ] || wrong "$command: columns of completion and parser differ"
	in_page=$(tr -d '\n' <"$srcdir/man/contig-$command.1" | sed 's/\.Li/ /g' | tr ',.' '  ')
	for column in $columns; do
		case " $in_page " in *[\ ]"$column"[\ ]*) ;; *)
			wrong "contig-$command.1: no column $column" ;;
		esac
	done

	for h in -h --help; do
		run 0 "$command" $h
		output_has "^Usage: contig $command"
		[ -s "$tmp/err" ] && wrong "$command $h: writes on stderr"
		narrow 80 "$command $h"
	done
	for v in -V --version; do
		run 0 "$command" $v
		output_has '^contig \(libcontig\) [0-9(]'
	done
	refused "$command" --no-such-option
	refused "$command" -Z
	refused "$command" --json=yes
	refused "$command" --columns
	refused "$command" --columns=
	refused "$command" -o
	# As JSON, too: on standard output, nothing on stderr.
	run $trouble "$command" --no-such-option --json
	json_is 'd["error"]["object"] == "--no-such-option" and d["error"]["way_out"]'
	[ -s "$tmp/err" ] && wrong "$command: a JSON error, and stderr"
done
trouble=2

# The actions of pool.
run 0 pool --help
sed -n 's/^  or:  contig pool \[OPTION...\] \([a-z-]*\).*/\1/p' "$tmp/out" >"$tmp/help"
echo show >>"$tmp/help"
sort -o "$tmp/help" "$tmp/help"
sed -n 's/^\.It Cm \([a-z-]*\).*/\1/p' "$srcdir/man/contig-pool.1" | sort >"$tmp/man"
bash -c '. "$1"; printf "%s\n" $_contig_actions' sh "$srcdir/tools/contig.bash" |
	sort >"$tmp/completion"
same "pool's actions" help man
same "pool's actions" help completion

# Without and with a wrong command.
refused
refused frobnicate
refused --frobnicate
refused --sysroot
refused --sysroot /nonexistent doctor
for h in -h --help -V --version; do
	run 0 $h
	[ -s "$tmp/out" ] || wrong "contig $h: silent"
done

# Output that can't be written is no success.
if [ -w /dev/full ]; then
	for arguments in --version --help 'pool show' 'pool show --json'; do
		# shellcheck disable=SC2086
		"$CONTIG" $arguments >/dev/full 2>"$tmp/err"
		got=$?
		case $got in 1 | 0) wrong "contig $arguments >/dev/full: exit $got" ;; esac
	done
fi

# Completion, asked as bash asks.
complete()
{
	bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _contig
		printf "%s " "${COMPREPLY[@]}"' sh "$srcdir/tools/contig.bash" "$@"
}
[ "$(complete contig d)" = "doctor " ] || wrong "completion of d: $(complete contig d)"
[ "$(complete contig alloc --grow sy)" = "system " ] || wrong "completion of --grow sy"
[ "$(complete contig alloc --grow = o)" = "overcommit " ] || wrong "completion of --grow=o"
[ "$(complete contig pool ke)" = "keep-contiguous " ] || wrong "completion of pool ke"
[ "$(complete contig run --fork c)" = "cow " ] || wrong "completion of --fork c"
[ "$(complete contig run --node 0 --strict -- unsha)" = "unshare " ] ||
	wrong "completion of a program"
[ "$(complete contig run --report = json : /tmp/x --strict -- unsha)" = "unshare " ] ||
	wrong "completion of a program after --report=json:FILE"
[ "$(complete contig run --restrict a : b unsha)" = "unshare " ] ||
	wrong "completion of a program after --restrict a:b"
[ "$(complete contig run --restrict = a : unsha)" = "unshare " ] ||
	wrong "completion of --restrict=a:"
: >"$tmp/some-report"
for words in "= json :" "=:"; do
	# shellcheck disable=SC2086
	[ "$(complete contig run --report $words "$tmp/some-r")" = "$tmp/some-report " ] ||
		wrong "completion of --report ($words)"
done
[ "$(complete contig doctor --verb)" = "--verbose " ] || wrong "completion of --verb"

exit $status
