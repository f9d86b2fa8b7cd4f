#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads what `synwarden metrics` wrote, by the parsers of Prometheus' own client library.

  value FILE NAME [LABEL=VALUE]...  the sum of these samples; "none" if there is no such sample
  values FILE WANTED                the same for each line of "SUM<tab>NAME[<tab>LABEL=VALUE]..."
  label FILE NAME LABEL             that label's values, as JSON
  table FILE TABLE                  are names, types and labels those of user/metrics_list.h?
  rising BEFORE AFTER [SERVICE]     no counter fell or went, but SERVICE's, which may start anew
  same TEXT OPENMETRICS             the same samples in either format, but for what moves
  ask PORT PANELS WINDOW            how many results each query of a rule file has at a Prometheus,
                                    with [WINDOW] in the place of [1m]
"""
import json
import re
import sys
import urllib.parse
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

# what is another at each reading
MOVING = re.compile(r"synwarden_(collect_duration|key_(age|epoch)|events|service_armed_s)|process_")


def families(path):
    content = open(path, newline="").read()
    return list(openmetrics(content) if content.endswith("# EOF\n") else text(content))


def samples(path):
    found = {}
    for family in families(path):
        for s in family.samples:
            key = (s.name, tuple(sorted(s.labels.items())))
            if key in found:
                sys.exit("%s: twice: %s" % (path, key))
            found[key] = s.value
    if not found:
        sys.exit("%s: nothing in it" % path)
    return found


def total(found, name, labels):
    wanted = {tuple(label.split("=", 1)) for label in labels}
    hits = [v for (n, l), v in found.items() if n == name and wanted <= set(l)]
    return "%.15g" % sum(hits) if hits else "none"


def value(path, name, *labels):
    print(total(samples(path), name, labels))


def values(path, wanted):
    found, bad = samples(path), []
    for line in open(wanted).read().splitlines():
        expected, name, *labels = line.split("\t")
        got = total(found, name, labels)
        if got != expected:
            bad.append("%s %s: expected %s, got %s" % (name, " ".join(labels), expected, got))
    print("\n".join(bad))
    return bool(bad)


def label(path, name, which):
    print(json.dumps([dict(l)[which] for n, l in samples(path) if n == name]))


def table(path, header):
    known = {}
    for kind, name, labels in re.findall(r'^\tX\(\w+, (\w+), "([^"]+)", "([^"]*)"', open(header).read(), re.M):
        known[name] = (kind.lower(), set(labels.split()))
    bad = []
    for family in families(path):
        for s in family.samples:
            kind, labels = known.get(s.name, (None, set()))
            if kind is None:
                bad.append("%s is not in the table" % s.name)
            elif labels != set(s.labels):
                bad.append("%s has labels %s" % (s.name, sorted(s.labels)))
            elif family.type not in (kind, "unknown", "gauge" if kind == "info" else kind):
                bad.append("%s is of type %s" % (s.name, family.type))
    seen = {s.name for family in families(path) for s in family.samples}
    print("\n".join(bad) if bad else " ".join(n for n in known if n not in seen))
    return bool(bad)


def rising(before, after, service=None):
    then, now = samples(before), samples(after)
    bad = []
    for (name, labels), was in then.items():
        if not name.endswith("_total") or (service and dict(labels).get("service") == service):
            continue
        if (name, labels) not in now:
            bad.append("%s%s is gone" % (name, dict(labels)))
        elif now[(name, labels)] < was:
            bad.append("%s%s fell from %g to %g" % (name, dict(labels), was, now[(name, labels)]))
    print("\n".join(bad))
    return bool(bad)


def same(one, other):
    a, b = samples(one), samples(other)
    bad = [k for k in a.keys() | b.keys() if a.get(k) != b.get(k) and not MOVING.match(k[0])]
    print("\n".join("%s: %s, %s" % (k, a.get(k), b.get(k)) for k in bad))
    return bool(bad)


def ask(port, panels, window):
    for expr in re.findall(r"^ *expr: (.*)$", open(panels).read(), re.M):
        query = urllib.parse.urlencode({"query": json.loads(expr).replace("[1m]", "[%s]" % window)})
        with urllib.request.urlopen("http://127.0.0.1:%s/api/v1/query?%s" % (port, query)) as answer:
            print(len(json.load(answer)["data"]["result"]))


sys.exit({f.__name__: f for f in (value, values, ask, label, table, rising, same)}[sys.argv[1]](*sys.argv[2:]))
