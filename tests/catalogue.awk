# SPDX-License-Identifier: GPL-2.0-or-later
#
# First file: program, test, rows of each test, by tabs. Second: catalogue.txt.
# style "tap": a check per row; else a table. Exit 1 on a row with neither test nor reason.

FNR == NR {
	n = split($3, ids, " ")
	for (i = 1; i <= n; i++)
		# tests name rows only; other words in the comment are prose
		if (ids[i] ~ /^[A-Z][0-9][0-9]$/)
			tests[ids[i]] = tests[ids[i]] "\n" $1 ": " $2
	total++
	next
}
/^#/ || /^$/ { next }
/^[ \t]/ {
	if (sub(/^[ \t]+why not: */, "") && $0 != "")
		why[id] = $0
	else
		why[id] = why[id] " " $0
	next
}
{
	id = substr($0, 1, 3)
	order[++rows] = id
	text[id] = substr($0, 5)
}
END {
	for (r = 1; r <= rows; r++) {
		id = order[r]
		bad = !(id in tests) && !(id in why)
		missing += bad
		uncovered += !(id in tests)
		if (style == "tap") {
			print (bad ? "not " : "") "ok " r " - " id " has a test, or says why not"
			continue
		}
		print id "  " text[id]
		if (id in tests) {
			list = tests[id]
			gsub(/\n/, "\n       ", list)
			print substr(list, 2)
		}
		if (id in why)
			print "       why not: " why[id]
		if (bad)
			print "       NO TEST"
	}
	for (id in tests)
		if (!(id in text)) {
			list = tests[id]
			gsub(/\n/, " ", list)
			unknown[++unknowns] = id ":" list
		}
	if (style == "tap") {
		print (unknowns ? "not " : "") "ok " r++ " - tests name only known rows"
		for (i = 1; i <= unknowns; i++)
			print "# unknown row " unknown[i]
		print "1.." rows + 1
	} else {
		print ""
		print rows " rows, " rows - uncovered " with tests, " uncovered - missing \
			" with a reason why not, " missing " with neither; " total " tests"
		for (r = 1; r <= rows; r++)
			if (!(order[r] in tests) && !(order[r] in why))
				print "no test: " order[r] "  " text[order[r]]
		for (i = 1; i <= unknowns; i++)
			print "unknown row " unknown[i]
	}
	exit(missing || unknowns)
}
