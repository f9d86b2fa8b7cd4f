# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest runs several TAP programs, each between "## program NAME" and
# "## end STATUS", and "## guest STATUS" at the end. Make one TAP of it; a program that
# broke off is a failure, and so is a guest that did, or failed without a failed test.
# ended: how QEMU ended, in words. kernel: put before each name.

function result(text)
{
	print text
	bad += text ~ /^not ok/
}

function close_program(status)
{
	if (program == "")
		return
	if (status == "none")
		result("not ok " ++n " - " kernel " " program ": never ended")
	else if (plan < 0)
		result("not ok " ++n " - " kernel " " program ": no plan, status " status)
	else if (plan != seen)
		result("not ok " ++n " - " kernel " " program ": planned " plan " tests and ran " seen)
	else if (status != 0 && !failed)
		result("not ok " ++n " - " kernel " " program ": status " status " but no test failed")
	program = ""
}

{ sub(/\r+$/, "") }

/^## program / {
	close_program("none")
	program = substr($0, 12)
	plan = -1
	seen = failed = 0
	next
}

/^## guest / { guest = substr($0, 10); next }

/^## end / { close_program($3); next }

/^1\.\.[0-9]+/ {
	plan = $0
	sub(/^1\.\./, "", plan)
	if (plan ~ /^0[^0-9]/)
		result("ok " ++n " - " kernel " " program substr(plan, 2))
	plan += 0
	next
}

/^(not )?ok([ \t]|$)/ {
	seen++
	word = "ok"
	if (/^not/) {
		word = "not ok"
		failed++
	}
	sub(/^(not )?ok[ \t]*[0-9]*[ \t]*(- *)?/, "")
	result(word " " ++n " - " kernel " " program ": " $0)
	next
}

{ result(/^#/ ? $0 : "# " $0) }

END {
	close_program("none")
	if (guest == "")
		result("not ok " ++n " - " kernel " the guest came to its end: " ended)
	else if (guest != "0" && !bad)
		result("not ok " ++n " - " kernel " the guest came to its end: its script failed: " guest)
	else
		result("ok " ++n " - " kernel " the guest came to its end")
	print "1.." n
	exit(bad > 0)
}
