#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What rules and dashboards ask for: is there such a metric, has it such a label?

queries.py TABLE RULES DASHBOARD OUT: TABLE is user/metrics_list.h. Writes each query of the
dashboard as a recording rule to OUT, for promtool to parse, and tells what is not there.
"""
import json
import re
import sys

# of Prometheus itself
OWN_METRICS = {"up", "ALERTS"}
OWN_LABELS = {"job", "instance", "__name__"}
# of the dashboard's variables, by what a query may hold in their place
VARIABLES = {"$__rate_interval": "1m", "$job": ".*", "$instance": ".*", "$device": ".*", "$service": ".*"}


def exported(table):
    rows = re.findall(r'^\tX\(\w+, \w+, "([^"]+)", "([^"]*)", "', table, re.M)
    return {name: set(labels.split()) for name, labels in rows}


def rules(text):
    """Name of what is recorded or None, and the query; folded scalars of YAML are joined."""
    found, name, lines = [], None, []
    for line in text.splitlines() + ["      - end:"]:
        if line.lstrip().startswith("#"):
            continue
        if re.match(r"\s+(- |for:|labels:|annotations:)", line) and lines:
            found.append((name, " ".join(lines)))
            lines = []
        start = re.match(r"\s+- (record|alert): (\S+)", line)
        expr = re.match(r"\s+expr: (?:>-)?(.*)", line)
        if start:
            name = start[2] if start[1] == "record" else None
        elif expr:
            lines = [expr[1]]
        elif lines:
            lines.append(line.strip())
    return found


def panels(dashboard):
    def walk(panel):
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
        for inner in panel.get("panels", []):
            yield from walk(inner)

    for panel in dashboard["panels"]:
        yield from walk(panel)
    for note in dashboard["annotations"]["list"]:
        yield note["name"], note["expr"]
    for variable in dashboard["templating"]["list"]:
        asked = re.match(r"label_values\((.*), (\w+)\)$", variable.get("definition", ""))
        if asked:
            yield variable["name"], "sum by (%s) (%s)" % (asked[2], asked[1])


def unmerged(dashboard):
    """Tables of several queries whose rows stay apart: a bare metric brings its name as a column."""
    for panel in dashboard["panels"]:
        merges = any(t["id"] == "merge" for t in panel.get("transformations", []))
        for target in panel.get("targets", []) if merges else []:
            if re.fullmatch(r"\w+(\{.*\})?", target["expr"]):
                yield "panel '%s': its rows are not merged: %s" % (panel["title"], target["expr"])


def complaints(where, expr, known):
    plain = re.sub(r'"[^"]*"', '""', expr)
    # words that are neither functions nor labels in parentheses or braces
    bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", " ", plain)
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", " ", bare)
    for name in re.findall(r"\b([a-z_][a-z0-9_:]*)\b(?!\s*\()", bare):
        if name in {"or", "and", "unless", "bool", "offset", "by", "on"} or name in OWN_METRICS:
            continue
        if name not in known:
            yield "%s: no metric %s" % (where, name)
    for name, inner in re.findall(r"\b([a-z_][a-z0-9_:]*)\{([^}]*)\}", plain):
        for label in re.findall(r"(\w+)\s*(?:=|!=|=~|!~)", inner):
            if label not in known.get(name, set()) | OWN_LABELS:
                yield "%s: %s has no label %s" % (where, name, label)
    labels = set().union(*known.values()) | OWN_LABELS
    for inner in re.findall(r"\b(?:by|on|group_left)\s*\(([^)]*)\)", plain):
        for label in re.findall(r"\w+", inner):
            if label not in labels:
                yield "%s: nothing has a label %s" % (where, label)


def main():
    table, rule_file, dashboard_file, out = sys.argv[1:]
    known = exported(open(table).read())
    bad, asked = [], rules(open(rule_file).read())
    for name, _ in asked:
        if name:
            known[name] = set().union(*known.values())
    for name, expr in asked:
        bad += complaints("rule %s" % (name or expr[:40]), expr, known)
    bad += unmerged(json.load(open(dashboard_file)))
    with open(out, "w") as parsed:
        parsed.write("groups:\n  - name: panels\n    rules:\n")
        n = 0
        for title, expr in panels(json.load(open(dashboard_file))):
            bad += complaints("panel '%s'" % title, expr, known)
            for variable, value in VARIABLES.items():
                expr = expr.replace(variable, value)
            parsed.write("      - record: panel:%d\n        expr: %s\n" % (n, json.dumps(expr)))
            n += 1
    print("\n".join(bad) if bad else "%d rules, %d panels, %d metrics" % (len(asked), n, len(known)))
    return bool(bad) or not asked or not n


sys.exit(main())
