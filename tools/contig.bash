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

_contig_options_share="$_contig_output"
_contig_options_stats="--prometheus $_contig_output"

_contig_options_top="--delay --once --sort $_contig_output"

_contig_options_map="--vma --summary --runs --folios --no-page-sizes --svg --no-picture
--sysroot $_contig_output"
_contig_options_check="--low --high --align --boundary --sysroot $_contig_output"

_contig_options_phys="--node --owners --svg --no-map --sysroot $_contig_output"

_contig_options_capture='--force --process --frames --no-addresses --json --help --version'

_contig_options_bench='--size --fill --quick --output --json --no-header --bytes --help --version'

_contig_commands='doctor alloc replay pool share stats map check phys capture bench top run'
_contig_parts='contiguity alloc translate insert tlb fragment all'
_contig_actions='show grow shrink demote compact below keep-contiguous'

_contig_nodes() {
	local node
	for node in /sys/devices/system/node/node[0-9]*; do
		[ -e "$node" ] && printf '%s\n' "${node##*node}"
	done
}

# Processes that have the library's statistics mapped.
_contig_users() {
	local maps pid
	for maps in $(grep -ls libcontig-stats /proc/[0-9]*/maps 2>/dev/null); do
		pid=${maps#/proc/}
		pid=${pid%/maps}
		printf '%s\n' "$pid" "$(cat "/proc/$pid/comm" 2>/dev/null)"
	done
}

# Processes by number and by name.
_contig_processes() {
	echo self
	(cd /proc && printf '%s\n' [0-9]*)
	cat /proc/[0-9]*/comm 2>/dev/null | grep -v '[[:space:]/]' | sort -u
}

_contig_columns() {
	case $1 in
	doctor) echo state check found means mend ;;
	alloc) echo block start end size page_size node wiring level check address time_ns ;;
	replay) echo id outcome start time_ns reclaims errno site reason judged size low \
		high alignment boundary note ;;
	map) echo start end permissions offset mappings size present zero swapped hidden \
		page_sizes superpage_size superpage_bytes runs longest mean nodes name ;;
	check) echo address size start end good verdict breaks_at next superpage_size ;;
	phys) echo node zone ram free longest_free superpages superpages_free \
		superpages_most gigapages_free gigapages_most in_the_way longest_free_at \
		estimated ;;
	pool) echo size node total free reserved surplus overcommit bytes bytes_free ;;
	top) echo pid command hugetlb held in_use free longest pinned exported imported uid ;;
	share) echo pid command role start with_pid pages state path size page_size prot \
		modes pools with_command with_uid mapped ;;
	stats) echo pid command level library age_ns held allocated cached free \
		largest_free pinned resident unwired superpages_2m superpages_1g \
		superpages_thp requests failures reclaims taken returned metadata ;;
	run) echo pid name state asked on_superpages wired fallback_bytes largest_run parent \
		forked calls large_kept large_broken large_contiguous large_wired base_pages \
		peak mapped inherited ;;
	esac
}

# What comes after a colon in the value of option $1.
_contig_run_part() {
	case $1 in
	--report) mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}") ;;
	--restrict) mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}" | sort -u) ;;
	esac
}

# Words after "run" at $1: complete PROGRAM and its arguments; 1: not yet there.
# Of "--report=json:file", "=" and ":" are words of their own, and so is "=:".
_contig_run_program() {
	local i word option
	for ((i = $1 + 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--)
			((i++))
			break
			;;
		--below | --align | -a | --node | --threshold | --limit | --fork | --sources | \
			--grow | --restrict | --columns | -o)
			option=$word
			((i++))
			[ "${COMP_WORDS[i]}" = = ] && ((i++))
			;;
		=) ((i++)) ;;
		: | =:)
			((i++))
			[ "$i" -eq "$COMP_CWORD" ] && {
				_contig_run_part "$option"
				return 0
			}
			;;
		-*) option=$word ;;
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
	--columns | -o)
		if [ "$command" = bench ]; then
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			return
		fi
		options=$(_contig_columns "$command")
		;;
	--sysroot)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--sort) options='size use name pid' ;;
	--svg | --output)
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
			share | stats) options=$(_contig_users) ;;
			map | check) [ $((COMP_CWORD - i)) -eq 1 ] && options=$(_contig_processes) ;;
			bench) options=$_contig_parts ;;
			replay | capture)
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
