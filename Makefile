# SPDX-License-Identifier: GPL-2.0-or-later
#
# The whole build. Artefacts go to build/, sources never receive any. V=1 shows commands.
# CC, CLANG, BPFTOOL, PKG_CONFIG, CFLAGS, LDFLAGS, DESTDIR, PREFIX, SBINDIR, MANDIR, COMPDIR,
# ZSHCOMPDIR, DATADIR, CONFDIR, DEFAULTDIR, SYSUSERSDIR, SYSTEMDUNITDIR, UPLOT and VERSION may be
# given. uninstall leaves the configuration.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

CC ?= cc
CLANG ?= clang
PKG_CONFIG ?= pkg-config
INSTALL ?= install
PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
COMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR ?= $(PREFIX)/share/zsh/site-functions
DATADIR ?= $(PREFIX)/share/synwarden
CONFDIR ?= /etc/synwarden
DEFAULTDIR ?= /etc/default
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
SYSTEMDUNITDIR ?= $(PREFIX)/lib/systemd/system
BUILD ?= build
V ?= 0

# Distributions install a wrapper that looks for a bpftool of the running kernel only.
BPFTOOL ?= $(firstword $(shell for t in bpftool /usr/sbin/bpftool /usr/lib/linux-tools*/*/bpftool \
	/usr/lib/linux-tools*/bpftool; do $$t version >/dev/null 2>&1 && echo $$t; done; :) bpftool)

# The one home of the version; deploy/debian/changelog begins with it.
RELEASE := 0.1.0
VERSION := $(RELEASE)
GIT_VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
ifneq ($(GIT_VERSION),)
VERSION := $(VERSION)+$(GIT_VERSION)
endif

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-8s %s\n' $(1) $(patsubst $(BUILD)/%,%,$@))

HAVE_LIBBPF := $(shell $(PKG_CONFIG) --atleast-version=1.1 libbpf && echo yes)
LIBBPF_CFLAGS := $(shell $(PKG_CONFIG) --cflags libbpf 2>/dev/null)
LIBBPF_LIBS := $(shell $(PKG_CONFIG) --libs libbpf 2>/dev/null)
HAVE_LIBYAML := $(shell $(PKG_CONFIG) --atleast-version=0.2 yaml-0.1 && echo yes)
YAML_CFLAGS := $(shell $(PKG_CONFIG) --cflags yaml-0.1 2>/dev/null)
YAML_LIBS := $(shell $(PKG_CONFIG) --libs yaml-0.1 2>/dev/null)
# What the daemon confines itself with; one call, so that one line says what is missing.
CONFINE := libcap-ng libseccomp
HAVE_CONFINE := $(shell $(PKG_CONFIG) --exists $(CONFINE) && echo yes)
LIBBPF_CFLAGS += $(shell $(PKG_CONFIG) --cflags $(CONFINE) 2>/dev/null)
CONFINE_LIBS := $(shell $(PKG_CONFIG) --libs $(CONFINE) 2>/dev/null)

# What some commands alone need. Without it they say so, and all the rest is whole: feature,
# what pkg-config calls it, and the sources besides cmd_FEATURE.c are FEATURE_*.c.
FEATURES := web:libmicrohttpd top:ncursesw replay:libpcap
feature_name = $(word 1,$(subst :, ,$(1)))
feature_lib = $(word 2,$(subst :, ,$(1)))
HAVE_FEATURES := $(foreach f,$(FEATURES),$(if $(shell $(PKG_CONFIG) --exists \
	$(call feature_lib,$(f)) && echo yes),$(f)))
LACKED := $(foreach f,$(filter-out $(HAVE_FEATURES),$(FEATURES)),$(call feature_name,$(f)))
FEATURE_LIBS := $(foreach f,$(HAVE_FEATURES),$(shell $(PKG_CONFIG) --libs $(call feature_lib,$(f))))
LIBBPF_CFLAGS += $(foreach f,$(HAVE_FEATURES),$(shell $(PKG_CONFIG) --cflags $(call feature_lib,$(f))))

# The page of `synwarden web`, which is taken into the program. Its chart library comes from npm, or
# from UPLOT=FILE.tgz; without either the page draws plain lines of its own.
UPLOT_VERSION := 1.6.32
UPLOT_SHA256 := 4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d
UPLOT ?=
PAGE_OURS := $(patsubst user/web/%,$(BUILD)/web/%,$(filter-out %.sh,$(wildcard user/web/*)))
PAGE_UPLOT := $(BUILD)/web/uPlot.js $(BUILD)/web/uPlot.css $(BUILD)/web/licences.txt
PAGE := $(PAGE_OURS) $(PAGE_UPLOT)

# Headers of the target that clang finds by itself for the host, but not with -target bpf;
# behind all others, so that they never shadow clang's own.
BPF_SYS_INCLUDES := $(shell $(CLANG) -v -E - </dev/null 2>&1 | \
	sed -n '/<...> search starts here:/,/End of search list/s,^ \(/.*\),-idirafter \1,p')

BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror -Iinclude $(LIBBPF_CFLAGS) \
	$(BPF_SYS_INCLUDES) $(filter -ffile-prefix-map=%,$(CFLAGS))
SW_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla \
	$(if $(WERROR),-Werror) -D_GNU_SOURCE -DSW_VERSION='"$(VERSION)"' \
	-Iinclude -Iuser -I$(BUILD) -I$(BUILD)/tests $(LIBBPF_CFLAGS) $(YAML_CFLAGS)
DEPFLAGS = -MMD -MP -MF $@.d

USER_SRC := $(filter-out $(foreach f,$(LACKED),user/cmd_$(f).c user/$(f)_%.c),$(wildcard user/*.c))
USER_OBJ := $(USER_SRC:%.c=$(BUILD)/%.o)
LIB_OBJ := $(filter-out $(BUILD)/user/main.o,$(USER_OBJ))
BPF_SRC := $(wildcard bpf/*.bpf.c)
SKEL := $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/%.skel.h)

# A test program is one file named unit_ or prog_; a tool is listed here; kernel_exit is built
# by kernel.sh for its guest. Every other C file in tests/ is linked into each test program.
TOOLS := $(filter $(patsubst tests/%.c,%,$(wildcard tests/*.c)),bench churn flip flood paced turns wire)
TEST_SRC := $(wildcard tests/unit_*.c tests/prog_*.c)
FUZZ_SRC := $(wildcard tests/fuzz_*.c)
TEST_BPF := $(wildcard tests/*.bpf.c)
HELPER_SRC := $(filter-out $(TEST_SRC) $(FUZZ_SRC) $(TEST_BPF) $(TOOLS:%=tests/%.c) \
	tests/kernel_exit.c, $(wildcard tests/*.c))
HELPER_OBJ := $(HELPER_SRC:%.c=$(BUILD)/%.o)
TEST_SKEL := $(TEST_BPF:%.bpf.c=$(BUILD)/%.skel.h)
TEST_BIN := $(TEST_SRC:%.c=$(BUILD)/%)
TOOL_BIN := $(TOOLS:%=$(BUILD)/tests/%)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(BUILD)/%)

.PHONY: all tests fuzz check lint bench catalogue install uninstall deb clean help

all: $(BUILD)/synwarden ## build the program

tests: all $(TEST_BIN) $(TOOL_BIN) ## build the test programs and tools

fuzz: $(FUZZ_BIN) ## build the fuzzers (clang with libFuzzer)

check: tests ## run every ring of the tests this machine can (as root)
	tests/run.sh

lint: ## check the house rules
	tests/lint.sh

bench: tests ## measure, print a table and JSON (as root)
	tests/bench.sh

catalogue: ## list what is covered by which test
	tests/catalogue.sh

$(BUILD)/synwarden: $(USER_OBJ)
	$(call say,LINK)
	$(Q)$(CC) $(SW_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBBPF_LIBS) $(YAML_LIBS) $(CONFINE_LIBS) $(FEATURE_LIBS)

define compile
$(call say,CC)
$(Q)mkdir -p $(@D)
$(Q)$(CC) $(SW_CFLAGS) $(DEPFLAGS) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
endef

# Skeletons must be there first; afterwards the .d files know who includes them.
$(BUILD)/user/%.o: user/%.c | $(SKEL)
	$(compile)

$(BUILD)/tests/%.o: tests/%.c | $(SKEL) $(TEST_SKEL)
	$(compile)

$(BUILD)/user/web_page.o: SW_CFLAGS += -Wa,-I$(BUILD)
$(BUILD)/user/web_page.o: $(PAGE) $(PAGE:%=%.gz)

$(PAGE_OURS): $(BUILD)/web/%: user/web/%
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(PAGE_UPLOT) &: user/web/uplot.sh $(BUILD)/web/asked
	$(Q)user/web/uplot.sh $(BUILD)/web $(UPLOT_VERSION) $(UPLOT_SHA256) $(UPLOT)

$(BUILD)/web/asked: FORCE
	@mkdir -p $(@D)
	@echo '$(UPLOT_VERSION) $(UPLOT)' | cmp -s - $@ || echo '$(UPLOT_VERSION) $(UPLOT)' > $@

$(PAGE:%=%.gz): %.gz: %
	$(Q)gzip -9nc $< > $@

# The version is compiled into the files that name it; a commit must not rebuild the rest.
$(patsubst %.c,$(BUILD)/%.o,$(shell grep -l SW_VERSION user/*.c)): $(BUILD)/version
$(BUILD)/version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@
.PHONY: FORCE

$(BUILD)/%.bpf.o: bpf/%.bpf.c | need-libbpf
	$(call say,CLANG)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) $(DEPFLAGS) -c -o $@ $<

$(BUILD)/tests/%.bpf.o: tests/%.bpf.c | need-libbpf
	$(call say,CLANG)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -Ibpf -Itests $(DEPFLAGS) -c -o $@ $<

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$(notdir $*))_bpf > $@ || \
		{ echo "bpftool is needed to build (set BPFTOOL=)" >&2; exit 1; }

$(TEST_BIN): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(HELPER_OBJ) $(LIB_OBJ)
	$(call say,LINK)
	$(Q)$(CC) $(SW_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBBPF_LIBS) $(YAML_LIBS) $(CONFINE_LIBS) $(FEATURE_LIBS)

$(BUILD)/tests/turns: LIBBPF_LIBS += -lm
$(TOOL_BIN): $(BUILD)/tests/%: $(BUILD)/tests/%.o
	$(call say,LINK)
	$(Q)$(CC) $(SW_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBBPF_LIBS)

# A fuzzer includes the sources it fuzzes, so that they are instrumented too.
$(FUZZ_BIN): $(BUILD)/tests/%: tests/%.c | $(SKEL) $(TEST_SKEL)
	$(call say,FUZZ)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(SW_CFLAGS) -fsanitize=fuzzer,address,undefined $(DEPFLAGS) -o $@ $< $(LIBBPF_LIBS)

.PHONY: need-libbpf
need-libbpf:
ifneq ($(HAVE_LIBYAML),yes)
	@echo "libyaml 0.2 or later with its headers is needed ($(PKG_CONFIG) yaml-0.1)" >&2; exit 1
endif
ifneq ($(HAVE_LIBBPF),yes)
	@echo "libbpf 1.1 or later with its headers is needed ($(PKG_CONFIG) libbpf)" >&2; exit 1
endif
ifneq ($(HAVE_CONFINE),yes)
	@echo "libcap-ng and libseccomp with their headers are needed ($(PKG_CONFIG) $(CONFINE))" >&2
	@exit 1
endif

# What is installed: mode, file, place. What a later part brings is found where it is.
INSTALLED := 755:$(BUILD)/synwarden:$(SBINDIR)/synwarden \
	$(foreach f,$(wildcard deploy/*.[1-8]),644:$(f):$(MANDIR)/man$(subst .,,$(suffix $(f)))/$(notdir $(f))) \
	644:deploy/synwarden.bash-completion:$(COMPDIR)/synwarden \
	644:deploy/_synwarden:$(ZSHCOMPDIR)/_synwarden \
	644:deploy/synwarden.sysusers:$(SYSUSERSDIR)/synwarden.conf \
	$(foreach f,$(filter-out %.test.yml,$(wildcard deploy/prometheus/*.yml deploy/grafana/*.json)),644:$(f):$(DATADIR)/$(f:deploy/%=%))
UNITS := $(notdir $(wildcard deploy/*.service deploy/*.socket))
# Installed where there is none, and never removed.
KEPT := 640:deploy/synwarden.yaml:$(CONFDIR)/synwarden.yaml \
	644:deploy/synwarden.default:$(DEFAULTDIR)/synwarden
place_of = $(DESTDIR)$(word 3,$(subst :, ,$(1)))
put = $(INSTALL) -D -m $(word 1,$(subst :, ,$(1))) $(word 2,$(subst :, ,$(1))) $(call place_of,$(1))
define newline


endef

install: all ## install program, man pages, completions, units; a configuration if there is none
	$(foreach f,$(INSTALLED),$(call put,$(f))$(newline)	)
	$(foreach f,$(KEPT),test -e $(call place_of,$(f)) || $(call put,$(f))$(newline)	)
	$(INSTALL) -d -m 755 $(DESTDIR)$(SYSTEMDUNITDIR)
	for unit in $(UNITS); do \
		sed 's,/usr/local/sbin/,$(SBINDIR)/,' deploy/$$unit > $(DESTDIR)$(SYSTEMDUNITDIR)/$$unit && \
		chmod 644 $(DESTDIR)$(SYSTEMDUNITDIR)/$$unit || exit; \
	done

uninstall: ## remove what install put there
	rm -f $(foreach f,$(INSTALLED),$(call place_of,$(f))) $(UNITS:%=$(DESTDIR)$(SYSTEMDUNITDIR)/%)
	test ! -d $(DESTDIR)$(DATADIR) || find $(DESTDIR)$(DATADIR) -depth -type d -empty -delete

# The package is built in a copy of the sources; its objects, which are compiled as Debian wants,
# outlive that copy. The chart library is the one of the build here: there is no network in that one.
# DEB_VERSION may be given.
DEB_VERSION ?= $(RELEASE)
DEB_DIR := $(BUILD)/deb
DEB_TREE := $(DEB_DIR)/synwarden-$(DEB_VERSION)
DEB := $(DEB_DIR)/synwarden_$(DEB_VERSION)_$(shell dpkg --print-architecture 2>/dev/null).deb
DEB_PARTS := Makefile LICENSE README.md bpf include user deploy

deb: $(DEB) ## build the Debian package in build/deb/
	@echo $(DEB)

$(DEB): Makefile LICENSE README.md $(PAGE_UPLOT) $(shell find bpf include user deploy -type f 2>/dev/null)
	rm -rf $(DEB_TREE)
	mkdir -p $(DEB_TREE) $(DEB_DIR)/objects/web
	cp -a $(DEB_PARTS) $(DEB_TREE)
	cp -a deploy/debian $(DEB_TREE)/debian
	cp -a $(PAGE_UPLOT) $(BUILD)/web/asked $(DEB_DIR)/objects/web/
	deploy/debian/new-version $(DEB_TREE)/debian/changelog $(DEB_VERSION)
	cd $(DEB_TREE) && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL OBJECTS=$(abspath $(DEB_DIR)/objects) \
		$(if $(UPLOT),UPLOT=$(abspath $(UPLOT))) DEB_BUILD_OPTIONS="noautodbgsym $$DEB_BUILD_OPTIONS" \
		dpkg-buildpackage -b -us -uc -nc -j$$(nproc)

clean: ## remove build/
	rm -rf $(BUILD)

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

-include $(shell find $(BUILD) -path $(DEB_DIR) -prune -o -type f -name '*.d' -print 2>/dev/null)
