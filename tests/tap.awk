# SPDX-License-Identifier: GPL-2.0-or-later
#
# Read one program's TAP; write "passed failed skipped" on line 1, then what failed and
# which skips nobody expected, each with its diagnostics.
#
#   awk -v status=EXIT -v allowed=FILE -v program=NAME -f tap.awk OUTPUT
#
# A program must announce a plan, keep it and end with a status that agrees with it.
# FILE: lines "extended regex over 'program: test: reason'<tab>why it is allowed".

function trouble(text)
{
	say("    " text)
	failed++
	tell = 0
}

function say(text)
{
	report = report text "\n"
}

function is_allowed(text,    i)
{
	for (i = 1; i <= rules; i++)
		if (text ~ rule[i])
			return 1
	return 0
}

function skip(name, why)
{
	skipped++
	if (is_allowed(program ": " name ": " why))
		return
	unexpected++
	say("    unexpected skip - " name ": " (why == "" ? "no reason given" : why))
}

# Diagnostics come before the line of their test (they are printed as a check fails) or,
# from programs that say nothing before, after it. 30 lines of a test are enough.
function diagnostic(text)
{
	if (shown++ < 30)
		say("      " text)
}

function forget()
{
	before = 0
	shown = 0
	tell = 0
	skip_note = ""
}

BEGIN {
	plan = -1
	while ((getline line < allowed) > 0)
		if (split(line, part, "\t") == 2)
			rule[++rules] = part[1]
}

{ sub(/\r$/, "") }
/./ { last = $0 }

/^1\.\.[0-9]+/ {
	if (plan >= 0)
		trouble("two plans")
	plan = $0
	sub(/^1\.\./, "", plan)
	sub(/[^0-9].*/, "", plan)
	plan += 0
	if (plan == 0) {
		why = $0
		sub(/^[^#]*# *([Ss][Kk][Ii][Pp][A-Za-z]*)? */, "", why)
		skip("whole program", why)
	}
	next
}

/^(not )?ok([ \t]|$)/ {
	seen++
	name = $0
	sub(/^(not )?ok[ \t]*[0-9]*[ \t]*(- *)?/, "", name)
	if (match(name, /[ \t]# *[Ss][Kk][Ii][Pp][A-Za-z]*/)) {
		why = substr(name, RSTART + RLENGTH)
		sub(/^[ \t:]+/, "", why)
		skip(substr(name, 1, RSTART - 1), skip_note == "" ? why : skip_note)
		forget()
	} else if (/^not/) {
		failed++
		say("    not ok - " name)
		for (i = 1; i <= before; i++)
			diagnostic(said[i])
		i = before
		forget()
		tell = i == 0
	} else {
		passed++
		forget()
	}
	next
}

/^Bail out!/ { trouble($0); next }

{
	if (tell)
		diagnostic($0)
	else
		said[++before] = $0
}

/^# SKIP / { skip_note = substr($0, 8) }

# the program itself went wrong: show what it said last
function ending(text,    i)
{
	for (i = before > 20 ? before - 19 : 1; i <= before; i++)
		diagnostic(said[i])
	trouble(text)
}

END {
	if (status == "timeout")
		ending("out of time after " limit " s; last line: " last)
	else if (plan < 0)
		ending("died without a plan, status " status "; last line: " last)
	else if (plan != seen)
		ending("planned " plan " tests and ran " seen ", status " status)
	else if (status != 0 && failed == 0)
		ending("every test passed but the exit status is " status)
	printf "%d %d %d %d\n%s", passed, failed, skipped, unexpected, report
}
