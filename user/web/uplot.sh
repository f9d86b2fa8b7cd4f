#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Puts the chart library where the build takes it from: uPlot.js, uPlot.css, licences.txt. From
# FILE or else from npm; where neither is to be had they are empty, and the page does without.
#
#   uplot.sh DIR VERSION SHA256 [FILE.tgz]

set -euo pipefail
to=$1 version=$2 sha256=$3 file=${4-}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

none()
{
	echo "  NOTICE   no uPlot $version ($1): the page draws plain lines; see UPLOT= in the Makefile" >&2
	: > "$to/uPlot.js"
	: > "$to/uPlot.css"
	echo "The page and its script: GPL-2.0-or-later." > "$to/licences.txt"
	exit 0
}

# what was fetched once serves again, also another build beside this one
kept=$(dirname "$to")/uplot-$version.tgz
if [ -z "$file" ] && [ -e "$kept" ]; then
	file=$kept
elif [ -z "$file" ]; then
	command -v npm > /dev/null || none "npm is not installed"
	(cd "$tmp" && timeout 60 npm pack --silent --fetch-retries=1 --fetch-timeout=20000 \
		"uplot@$version" > /dev/null 2>&1) || none "npm did not deliver it"
	mv "$tmp/uplot-$version.tgz" "$kept"
	file=$kept
fi
echo "$sha256  $file" | sha256sum --check --status || {
	echo "$file is not uPlot $version: its SHA-256 is another than the Makefile's" >&2
	exit 1
}
tar -xzf "$file" -C "$tmp" package/dist/uPlot.iife.min.js package/dist/uPlot.min.css package/LICENSE
{
	echo "The page and its script: GPL-2.0-or-later."
	echo
	echo "Charts (uPlot.js, uPlot.css): uPlot $version"
	echo
	cat "$tmp/package/LICENSE"
} > "$to/licences.txt"
cp "$tmp/package/dist/uPlot.iife.min.js" "$to/uPlot.js"
cp "$tmp/package/dist/uPlot.min.css" "$to/uPlot.css"
