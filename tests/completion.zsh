#!/usr/bin/zsh -f
# SPDX-License-Identifier: GPL-2.0-or-later
#
# completion.zsh DIRECTORY LINE WORD...: a zsh on a terminal of its own, with the completions of
# DIRECTORY, is shown each WORD when LINE is typed and Tab pressed. Waits for ever if not.

zmodload zsh/zpty
zpty shell TERM=dumb zsh -f -i
zpty -w shell "PS1=; LISTMAX=10000; fpath=(${(q)1} \$fpath); autoload -U compinit; compinit -D -u
	bindkey '^I' complete-word; echo IS''READY"
zpty -r -m shell seen '*ISREADY*'
zpty -w -n shell "$2"$'\t\t'
seen=
for word in "${@[3,-1]}"; do
	while [[ $seen != *$word* ]]; do
		zpty -r shell more && seen+=$more
	done
done
zpty -d shell
