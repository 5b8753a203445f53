# SPDX-License-Identifier: BSD-2-Clause
# Completion of contig(1) for bash.  tests/cli/test_help.sh holds the lists
# against --help.
# shellcheck shell=bash

_contig_output='--json --no-header --columns --bytes --help --version'

# Options of each command, one variable a command: _contig_options_COMMAND.
_contig_options_main='--sysroot --help --version'
_contig_options_doctor="--verbose --sysroot $_contig_output"
_contig_options_alloc="--low --high --align --boundary --node --count --zero
--nowait --grow --hold --svg --no-picture $_contig_output"
_contig_options_replay="--size --order --grow --keep --expect-refused
$_contig_output"
_contig_options_run="--below --align --node --threshold --limit --strict
--fallback --require --fork --sources --grow --restrict --report
$_contig_output"
_contig_options_pool="--size --node --dry-run --contiguity --runs --sysroot
$_contig_output"

_contig_commands='doctor alloc replay pool run'
_contig_actions='show grow shrink demote compact below keep-contiguous'

_contig_nodes() {
	local node
	for node in /sys/devices/system/node/node[0-9]*; do
		[ -e "$node" ] && printf '%s\n' "${node##*node}"
	done
}

_contig_columns() {
	case $1 in
	doctor) echo state check found means mend ;;
	alloc) echo block start end size page_size node wiring level check address time_ns ;;
	replay) echo id outcome start time_ns reclaims errno site reason judged size low \
		high alignment boundary note ;;
	pool) echo size node total free reserved surplus overcommit bytes bytes_free ;;
	run) echo pid name state asked on_superpages wired fallback_bytes largest_run parent \
		forked calls large_kept large_broken peak mapped inherited ;;
	esac
}

# Words after "run" at $1: complete PROGRAM and its arguments; 1: not yet there.
_contig_run_program() {
	local i word
	for ((i = $1 + 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--)
			((i++))
			break
			;;
		--below | --align | -a | --node | --threshold | --limit | --fork | --sources | \
			--grow | --restrict | --columns | -o)
			((i++))
			[ "${COMP_WORDS[i]}" = = ] && ((i++))
			;;
		=) ((i++)) ;;
		-*) ;;
		*) break ;;
		esac
	done
	[ "$i" -gt "$COMP_CWORD" ] && i=$COMP_CWORD
	if [ "$i" -lt "$COMP_CWORD" ]; then
		if declare -F _command_offset >/dev/null; then
			_command_offset "$i"
		else
			mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
		fi
		return 0
	fi
	case ${COMP_WORDS[COMP_CWORD]} in
	-*) return 1 ;;
	esac
	mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}" | sort -u)
	return 0
}

_contig() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command=main word i options
	COMPREPLY=()

	# "--grow=sy" comes as three words.
	if [ "$cur" = = ]; then
		cur=
	elif [ "$prev" = = ] && [ "$COMP_CWORD" -ge 2 ]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case " $_contig_commands " in
		*" $word "*)
			command=$word
			break
			;;
		esac
	done

	case $prev in
	--grow) options='never overcommit system' ;;
	--fork) options='enomem cow' ;;
	--sources) options='1g 2m thp' ;;
	--report) options='json' ;;
	--node) options=$(_contig_nodes) ;;
	--columns | -o) options=$(_contig_columns "$command") ;;
	--sysroot)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--svg)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--size | -s)
		[ "$command" = pool ] && options='2M 1G'
		;;
	esac
	# What follows the program's name is the program's.
	if [ -z "$options" ] && [ "$command" = run ] && _contig_run_program "$i"; then
		return
	fi
	if [ -z "$options" ]; then
		case $cur in
		-*)
			word=_contig_options_$command
			options=${!word}
			;;
		*)
			case $command in
			main) options=$_contig_commands ;;
			pool) options=$_contig_actions ;;
			replay)
				mapfile -t COMPREPLY < <(compgen -f -- "$cur")
				return
				;;
			esac
			;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
}

complete -F _contig contig
