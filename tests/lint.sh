#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The house rules that a machine can check, as TAP. A rule prints what breaks it.
# Not here: what a compiler warns of.

set -euo pipefail
cd "$(dirname "$(dirname "$(readlink -f "$0")")")"

mapfile -t files < <(find . \( -name .git -o -name build \) -prune -o -type f -print |
	sed 's|^\./||' | grep -v '\.png$' | sort)
only() { printf '%s\n' "${files[@]}" | grep -E "$1" || true; }
mapfile -t c_files < <(only '\.[ch]$')
mapfile -t shell_files < <(printf '%s\n' "${files[@]}" | while read -r f; do
	case $f in *.bash-completion) echo "$f" ;; esac
	read -r line < "$f" || true
	case $line in '#!/bin/bash'* | '#!/bin/sh'*) echo "$f" ;; esac
done)

count=0
bad=0
# rule NAME COMMAND: holds if the command prints nothing and succeeds
rule()
{
	local name=$1 out ok=ok status=0
	shift
	out=$("$@" 2>&1) || status=$?
	if [ -n "$out" ] || [ "$status" != 0 ]; then
		ok="not ok"
		bad=$((bad + 1))
	fi
	count=$((count + 1))
	[ "$ok" = ok ] || printf '%s\n' "${out:-exit status $status}" | head -n 60 | sed 's/^/# /'
	echo "$ok $count - $name"
}

# grep that is content to find nothing; lines of comment do not count
code_grep()
{
	local pattern=$1
	shift
	[ $# -eq 0 ] || grep -nE "$pattern" -- "$@" /dev/null | grep -vE '^[^:]+:[0-9]+:[[:space:]]*(/\*|\*( |/|$))' || true
}

files_are_short()
{
	local f n
	for f in "${files[@]}"; do
		case $f in LICENSE | *.json | *.[1-8]) continue ;; esac
		n=$(wc -l < "$f")
		[ "$n" -le 500 ] || echo "$f has $n lines, at most 500"
	done
}

# a body runs from a brace at the line's start (C) or "name() {" (shell) to the next one
functions_are_short()
{
	awk '
		FNR == 1 { open = 0 }
		/^\{[ \t]*$/ || /^[a-zA-Z_][a-zA-Z0-9_]* *\(\) *\{/ {
			open = FNR
			if (/^[a-zA-Z_]/)
				name = $0
			else if (head ~ /^(struct|union|enum)/ && head !~ /\(/)
				open = 0
			else
				name = head
		}
		/^}/ && open {
			if (FNR - open - 1 > 60)
				print FILENAME ":" open ": " FNR - open - 1 " lines, at most 60: " name
			open = 0
		}
		/^[a-zA-Z_]/ { head = $0 }
	' "${c_files[@]}" "${shell_files[@]}"
}

starts_with_licence()
{
	local f
	for f in "${files[@]}"; do
		case $f in LICENSE | *.md | *.json | .gitignore | .gitattributes) continue ;; esac
		# their formats have no comments
		case $f in deploy/debian/changelog | deploy/debian/copyright | */source/format) continue ;; esac
		head -n 2 "$f" | grep -q 'SPDX-License-Identifier: GPL-2\.0-or-later' ||
			echo "$f: no SPDX line at its start"
	done
}

is_formatted()
{
	[ -e .clang-format ] || { echo "no .clang-format"; return; }
	clang-format --dry-run -Werror "${c_files[@]}" 2>&1 | grep -E 'error|warning' | head -n 40 || true
}

shell_is_clean()
{
	# 2119: a function's optional argument is not the script's; 1091: libraries are given too
	shellcheck -e SC1091,SC2119 -s bash "${shell_files[@]}"
	mapfile -t list < <(only '^deploy/debian/[^/]*\.(preinst|postinst|prerm|postrm)$')
	shellcheck -s dash "${list[@]}"
	zsh -n deploy/_synwarden
}

shell_is_strict()
{
	local f
	for f in "${shell_files[@]}"; do
		case $f in
		*.bash-completion | *_lib.sh | */kernel_init.sh) continue ;;
		# of a shell without pipefail, and what debhelper puts there does not bear -u
		deploy/debian/*.p*)
			grep -q '^set -e$' "$f" || echo "$f: no 'set -e'"
			continue
			;;
		esac
		grep -q '^set -euo pipefail$' "$f" || echo "$f: no 'set -euo pipefail'"
	done
}

plain_text()
{
	local text
	mapfile -t text < <(printf '%s\n' "${files[@]}" | grep -v '^LICENSE$')
	grep -nE '[[:blank:]]+$' -- "${text[@]}" | sed 's/$/ <- blanks at the end/' || true
	grep -nE '^(<<<<<<<|>>>>>>>)' -- "${text[@]}" || true
	local f
	for f in "${text[@]}"; do
		[ ! -s "$f" ] || [ -z "$(tail -c 1 "$f")" ] || echo "$f: no newline at its end"
	done
}

one_comment_style()
{
	grep -nE '(^|[;{}[:blank:]])//' -- "${c_files[@]}" |
		grep -vE '^[^:]+:1:// SPDX|"[^"]*//[^"]*"|^[^:]+:[0-9]+:[[:space:]]*/?\*.*//' || true
}

todo_names_issue()
{
	grep -nE '\b(TODO|XXX|FIXME)\b' -- "${files[@]}" | grep -vE '#[0-9]|^tests/lint\.sh' || true
}

elements_only_in_mapio()
{
	mapfile -t list < <(only '^user/.*\.c$' | grep -vE '^user/mapio[a-z_]*\.c$')
	code_grep '\bbpf_map(__)?_?(lookup|update|delete|get_next)[a-z_]*\(|\bbpf_map__(lookup|update|delete|get_next)' "${list[@]}"
}

skeleton_only_in_loader()
{
	mapfile -t list < <(only '^user/.*\.[ch]$' | grep -vE '^user/loader[a-z_]*\.[ch]$')
	code_grep 'synwarden\.skel\.h|synwarden_bpf__' "${list[@]}"
}

numbers_only_in_text()
{
	mapfile -t list < <(only '^user/.*\.c$' | grep -v '^user/text\.c$')
	code_grep '\b(strto(l|ul|ll|ull|d|f|imax|umax)|ato(i|l|ll|f)|sscanf)\(' "${list[@]}"
}

# What is measured is measured by the programs' clock; the time of day is only noted to be shown.
clocks_are_apart()
{
	mapfile -t list < <(only '^user/.*\.[ch]$' | grep -v '^user/clock\.c$')
	code_grep '\b(clock_gettime|gettimeofday|timespec_get)\(|\bCLOCK_REALTIME\b' "${list[@]}"
	code_grep '\btime\(' "${list[@]}" | grep -vE '(made_s|added_s) = \(__u64\)time\(NULL\)' |
		grep -v '^user/cmd_key.c:.*__u64 now = (__u64)time(NULL);$' || true
	mapfile -t list < <(only '^bpf/')
	code_grep 'bpf_ktime_get_(boot|tai|real)' "${list[@]}"
}

sides_are_apart()
{
	mapfile -t list < <(only '^bpf/')
	code_grep '#include.*(user/|"\.\./user)' "${list[@]}"
	mapfile -t list < <(only '^user/')
	code_grep '#include.*(bpf/[a-z_]*\.h"|"\.\./bpf)' "${list[@]}" |
		grep -vE '<bpf/|"bpf/(bpf|libbpf|btf)\.h"' || true
	mapfile -t list < <(only '^include/')
	code_grep '#include.*(bpf/|user/)' "${list[@]}"
}

# Include guards may, and names an old header lacks (#ifndef X, #define X); everything else is
# decided at load, by constants.
no_conditionals_in_bpf()
{
	local f
	for f in $(only '^bpf/.*\.[ch]$'); do
		awk '
			name != "" && $1 == "#define" && index($2, name) == 1 { name = "" }
			name != "" { print FILENAME ":" FNR - 1 ": #ifndef " name; name = "" }
			/^#ifndef [A-Za-z0-9_]+$/ { name = $2; next }
			/^[ \t]*#[ \t]*(if|ifdef|ifndef|elif)/ { print FILENAME ":" FNR ": " $0 }
		' "$f"
	done
}

macros_do_not_jump()
{
	mapfile -t list < <(only '^(bpf|include|user)/.*\.[ch]$')
	awk '
		/^[ \t]*#[ \t]*define/ { macro = 1 }
		macro && /(^|[^a-zA-Z_])(return|goto)([^a-zA-Z_]|$)/ { print FILENAME ":" FNR ": " $0 }
		macro && !/\\$/ { macro = 0 }
	' "${list[@]}" /dev/null
}

abi_is_asserted()
{
	local s
	sed -n 's/^struct \(sw_[a-z_]*\) {$/\1/p' include/*.h | while read -r s; do
		grep -hq "SW_ASSERT_SIZE($s," include/*.h || echo "struct $s: no size assert"
	done
	code_grep '^\s+(bool|long|unsigned long|size_t|int)\s' include/*.h
}

commands()
{
	sed -n 's/^[[:space:]]*{ *"\([a-z][a-z-]*\)",.*cmd_[a-z_]*.*/\1/p' user/main.c
}

commands_are_told()
{
	local c n=0
	for c in $(commands); do
		n=$((n + 1))
		grep -qx "\.Ss $c" deploy/synwarden.8 || echo "command $c: no section in deploy/synwarden.8"
		grep -qE "\b$c\b" deploy/synwarden.bash-completion ||
			echo "command $c: not in deploy/synwarden.bash-completion"
		grep -q "^[[:blank:]]*'$c:" deploy/_synwarden || echo "command $c: not in deploy/_synwarden"
		grep -qE "\b$c\b" tests/netns_*.sh || echo "command $c: in no tests/netns_*.sh"
	done
	[ "$n" -gt 0 ] || echo "no command table found in user/main.c"
}

options_are_told()
{
	local o n=0 options
	options=$(sed -n 's/^\t{ "\([a-z-]*\)", [a-z]*_argument, .*/\1/p' user/options.c)
	for o in $options; do
		n=$((n + 1))
		grep -qE -- "Fl -$o( |\$)" deploy/synwarden.8 || echo "option --$o: not in deploy/synwarden.8"
		grep -qE -- "--$o\b" deploy/synwarden.bash-completion ||
			echo "option --$o: not in deploy/synwarden.bash-completion"
		grep -qE -- "--$o\b" deploy/_synwarden || echo "option --$o: not in deploy/_synwarden"
	done
	[ "$n" -gt 0 ] || echo "no option found in user/options.c"
}

# command and option, of what `synwarden COMMAND --help` says
command_options()
{
	awk '
		/^#define LIST_ARGS/ { list = 1 }
		list { of_lists = of_lists $0; list = /\\$/ }
		/^\t\{ "[a-z-]+", cmd_/ { split($0, part, "\""); name = part[2]; text = "" }
		name != "" { text = text $0 }
		name != "" && /\},$/ {
			if (text ~ /LIST_ARGS/)
				text = text of_lists
			gsub(/\047[^\047]*\047/, "", text) # of another command
			while (match(text, /--[a-z-]+/)) {
				print name, substr(text, RSTART, RLENGTH)
				text = substr(text, RSTART + RLENGTH)
			}
			name = ""
		}
	' user/main.c | sort -u
}

# what the page says of a command: its lines of the synopsis, and its section
page_of()
{
	awk -v command="$1" '
		function flush() { if (lines ~ "\\.Cm ([a-z| -]* )?" command "( |\n)") printf "%s", lines; lines = "" }
		/^\.Sh/ { flush(); synopsis = /SYNOPSIS/; section = 0 }
		/^\.Ss/ { section = $2 == command }
		synopsis && /^\.Nm/ { flush() }
		synopsis { lines = lines $0 "\n" }
		section { print }
	' deploy/synwarden.8
}

# words after COMMAND, as bash completes them
bash_completes()
{
	bash -c '
		compopt() { :; }
		source deploy/synwarden.bash-completion
		COMP_WORDS=(synwarden "$@" --) COMP_CWORD=$(($# + 1))
		_synwarden
		echo "${COMPREPLY[@]}"' bash "$@"
}

options_are_told_of_their_command()
{
	local command option was='' page words verb
	while read -r command option; do
		if [ "$command" != "$was" ]; then
			was=$command
			page=$(page_of "$command")
			verb=()
			case $command in service) verb=(add) ;; allow | deny | fail-safe) verb=(load FILE) ;; esac
			words=" $(bash_completes "$command" "${verb[@]}") "
		fi
		grep -qE -- "(Fl|,) ${option#-}( |\$)" <<< "$page" ||
			echo "$command $option: not in deploy/synwarden.8"
		[[ $words = *" $option "* ]] || echo "$command $option: not in deploy/synwarden.bash-completion"
	done < <(command_options)
	[ -n "$was" ] || echo "no option of a command found in user/main.c"
}

settings()
{
	grep -hoE '\{ "[a-z-]+", (read|keep|take)_' user/config_*.c | cut -d'"' -f2
	sed -n 's/^\t{ "\([a-z0-9-]*\)", \(AT\|TIMEOUT\)(.*/\1/p' user/tunables.c
	grep -hE 'const char \*const [a-z_]*names\[\] = \{' user/config_*.c | grep -oE '"[a-z-]+"' | tr -d '"'
}

# Every setting that can be read is told, with the limits of a number and its default as in the
# file that is installed, and nothing that cannot.
settings_are_told()
{
	local page=deploy/synwarden.conf.5 file=deploy/synwarden.yaml s least most
	[ "$(settings | sort -u | wc -l)" -gt 30 ] || echo "hardly a setting found in user/"
	settings | sort -u | while read -r s; do
		grep -qE -- "\b$s:" $file || echo "setting $s: not in $file"
	done
	diff <(settings | sort -u) <(sed -n 's/^\.It Ic //p' $page | sed 's/ , /\n/' | sort -u) |
		sed -n "s,^< ,not in $page: ,p; s,^> ,no such setting\, but in $page: ,p"
	sed -nE '/^#  # .*\(([0-9]+) to ([0-9]+)[^)]*\)$/{
		s//\1 \2/; N; s/\n#  ([a-z0-9-]+): ([0-9]+)$/ \1 \2/p
	}' $file | while read -r least most name is; do
		sed -n "/^\.It Ic $name\$/,/^\.\(It\|El\)/p" $page | tr '\n' ' ' |
			grep -qE "\b$least to $most, default $is\b" ||
			echo "setting $name: $page does not say '$least to $most, default $is'"
	done
}

# The version has one home.
version_is_one()
{
	local release
	release=$(sed -n 's/^RELEASE := //p' Makefile)
	[ -n "$release" ] || echo "no RELEASE in Makefile"
	head -n 1 deploy/debian/changelog | grep -qF "synwarden ($release) " ||
		echo "deploy/debian/changelog does not begin with $release"
	grep -Ho 'synwarden:[0-9][^ ]*' deploy/kubernetes/*.yaml deploy/Containerfile |
		awk -v want=":synwarden:$release" '!index($0, want) { print $0 " is not" want }'
}

container_files_are_clean()
{
	local rules="line-length: {max: 100}, braces: {max-spaces-inside: 1}, comments-indentation: disable"
	yamllint -s -d "{extends: default, rules: {$rules}}" deploy/kubernetes
	/usr/bin/python3 tests/deploy_lint.py
}

reasons_are_told()
{
	local listed told
	listed=$(sed -n 's/^\tX([A-Z_0-9]*, [A-Z]*, "\([a-z0-9_]*\)".*/\1/p' include/sw_reasons.h | sort)
	told=$(sed -nE 's/^\.It Li ((pass|drop|tx|tc|out)_[a-z0-9_]*)$/\1/p' deploy/synwarden.8 | sort)
	[ -n "$listed" ] || echo "no reason found in include/sw_reasons.h"
	diff <(echo "$listed") <(echo "$told") |
		sed -n 's/^< \(.*\)/reason \1: not in deploy\/synwarden.8/p
			s/^> \(.*\)/deploy\/synwarden.8: no such reason \1/p'
}

# with its type and its labels
metrics_are_told()
{
	local listed told
	listed=$(sed -nE 's/^\tX\([A-Z_]+, ([A-Z]+), "([a-z_]+)", "([a-z ]*)", .*/\2 \L\1\E \3/p' \
		user/metrics_list.h | sed 's/ *$//' | sort)
	told=$(sed -nE 's/^\.It Li ([a-z_]+) Pq (counter|gauge|info)(\\\(dg)?( :)?/\1 \2/p' \
		deploy/synwarden-metrics.7 | sed 's/ ,//g; s/ *$//' | sort)
	[ -n "$listed" ] || echo "no metric found in user/metrics_list.h"
	diff <(echo "$listed") <(echo "$told") |
		sed -n 's/^< \(.*\)/metric \1: not so in deploy\/synwarden-metrics.7/p
			s/^> \(.*\)/deploy\/synwarden-metrics.7: no such metric \1/p'
}

man_pages_are_clean()
{
	mandoc -T lint -W warning deploy/*.[1-8]
}

echo "# $(clang-format --version 2>&1 | head -n 1); shellcheck $(shellcheck -V | sed -n 's/^version: //p')"
rule "files have at most 500 lines" files_are_short
rule "functions have at most 60 lines" functions_are_short
rule "every file starts with its licence" starts_with_licence
rule "clang-format agrees" is_formatted
rule "shellcheck agrees" shell_is_clean
rule "scripts stop at the first error" shell_is_strict
rule "no blanks at line ends, a newline at each file's end" plain_text
rule "comments are /* */" one_comment_style
rule "TODO names an issue" todo_names_issue
rule "map elements are touched in user/mapio*.c only" elements_only_in_mapio
rule "the skeleton is used in user/loader*.c only" skeleton_only_in_loader
rule "numbers are parsed in user/text.c only" numbers_only_in_text
rule "the programs' clock is read in user/clock.c only, the wall's to be shown" clocks_are_apart
rule "bpf/, user/ and include/ do not include each other" sides_are_apart
rule "no conditional compilation in bpf/" no_conditionals_in_bpf
rule "no return or goto in a macro" macros_do_not_jump
rule "every ABI struct has its size asserted" abi_is_asserted
rule "every command is in the man page, the completion and a test" commands_are_told
rule "every option is in the man page and both completions" options_are_told
rule "every option of a command is told of it" options_are_told_of_their_command
rule "every setting is in synwarden.conf(5) and the file that is installed" settings_are_told
rule "the version has one home" version_is_one
rule "every reason is in the man page" reasons_are_told
rule "every metric is in its man page" metrics_are_told
rule "manifests and container file are sound" container_files_are_clean
rule "the man pages are clean mdoc" man_pages_are_clean
echo "1..$count"
[ "$bad" = 0 ]
