#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Print each row of catalogue.txt with the tests that name it, then the rows without.
# Not here: running the tests.
#
#   tests/catalogue.sh          table; exit 1 if a row has neither test nor "why not",
#                               or a test names a row that does not exist
#   tests/catalogue.sh --tap    the same as one TAP check per row
#   tests/catalogue.sh --tests  every test: program, name, rows (tab-separated)

set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

# program <tab> test <tab> rows, from the sources: there is no list to forget
list_tests()
{
	local f
	for f in unit_*.c prog_*.c netns_*.sh kernel_scenario.sh; do
		[ -e "$f" ] || continue
		awk -v program="${f%.c}" '
			function out(name, rows) {
				gsub(/[^A-Z0-9 ]/, " ", rows)
				gsub(/ +/, " ", rows)
				sub(/^ /, "", rows); sub(/ $/, "", rows)
				print program "\t" name "\t" rows
			}
			/^TEST[A-Z_]*\(/ { call = ""; open = 1 }
			open {
				line = $0
				sub(/^[ \t]+/, " ", line)
				call = call line
				if (line !~ /\)[ \t]*(\{|$|\/\*)/)
					next
				open = 0
				name = call
				sub(/^TEST[A-Z_]*\([ \t]*/, "", name)
				sub(/[ \t,)].*/, "", name)
				rows = ""
				while (match(call, /"[^"]*"/)) {
					rows = rows " " substr(call, RSTART + 1, RLENGTH - 2)
					call = substr(call, RSTART + RLENGTH)
				}
				out(name, rows)
			}
			/^(function )?test_[a-zA-Z0-9_]+ *\(\)/ {
				name = $0
				sub(/^function /, "", name)
				sub(/ *\(\).*/, "", name)
				rows = ""
				if (match($0, /#.*/))
					rows = substr($0, RSTART + 1)
				else
					want = name
				if (rows != "" || want == "")
					out(name, rows)
				next
			}
			# the rows may stand on the line of the brace, or the one after it
			want != "" && /#/ { match($0, /#.*/); out(want, substr($0, RSTART + 1)); want = ""; next }
			want != "" && !/^\{[ \t]*$/ { out(want, ""); want = "" }
		' "$f"
	done
}

report()
{
	awk -F '\t' -v style="$1" -f catalogue.awk <(list_tests) catalogue.txt
}

case ${1-} in
--tests) list_tests ;;
--tap) report tap ;;
"") report table ;;
*)
	echo "usage: tests/catalogue.sh [--tap | --tests]" >&2
	exit 2
	;;
esac
