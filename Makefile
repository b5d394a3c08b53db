# claiim: how it is built, installed, tried and tested.
#
#   make && make install    for a DBA who has the server's headers (PGXS);
#                           V=1 shows the commands
#   make demo               dependencies, build, a private cluster, the
#                           rehearsal, a day of five agents
#   make check              dependencies, build, every test suite
#   make help               the rest
#
# demo and check must work where not even pg_config is installed yet, and make
# reads PGXS while it parses.  So the goals that tools/ serves never read it;
# the tools call make again for the building once all is there.

EXTENSION = claiim
MODULE_big = claiim
PG_CONFIG ?= pg_config

tool_goals = help deps demo demo-% clean-demo check check-% clean-cache dist bench bench-%

ifneq ($(filter $(tool_goals),$(MAKECMDGOALS)),)

export PG_CONFIG SUITE KEEP

.PHONY: help deps demo demo-start demo-stop demo-status clean-demo check check-pg17 check-pg18 clean-cache dist bench FORCE

help:
	@echo 'make                  build (PG_CONFIG=... for another server, V=1 shows the commands,'
	@echo '                      WERROR=1 makes CI'\''s warnings errors)'
	@echo 'make install          install it there'
	@echo 'make installcheck     SQL and isolation tests on a running server that preloads claiim'
	@echo 'make deps             install the missing packages (Debian, as root)'
	@echo 'make demo             a private cluster in .claiim/, the rehearsal, five agents'
	@echo 'make demo-status      is it running, and how to connect'
	@echo 'make demo-stop        stop it; its data stay, and make demo-start starts it again'
	@echo 'make clean-demo       stop it and remove it with its data, and .claiim/'
	@echo 'make check            all test suites; installs what they need, as demo does;'
	@echo '                      KEEP=1 keeps their scratch directory'
	@echo '                      (package, docker: where tools/install-deps.sh package, docker was run)'
	@echo 'make check-SUITE      one of: unit fuzz cppcheck regress isolation pgtap tap sdk package docker'
	@echo 'make check-pg17, -pg18 all of it on that server, in a chroot of the Debian release'
	@echo '                      that has it (as root); make clean-cache removes the chroots'
	@echo 'make dist             dist/claiim-VERSION.tar.gz and .zip, of the commit (doc/releasing.md)'
	@echo 'make bench            decisions against plain INSERTs; bench-soak, bench-growth: bench/README.md'

deps:
	@tools/install-deps.sh all

demo:
	@tools/demo.sh

demo-start:
	@tools/cluster.sh resume

demo-stop:
	@tools/cluster.sh stop

demo-status:
	@tools/cluster.sh status || :

clean-demo:
	@tools/cluster.sh remove

check:
	@tools/check.sh $(SUITE)

# The Debian release that has it; SUITE narrows these, too.
check-pg17:
	@tools/check-pg.sh 17 $(or $(RELEASE),trixie) $(SUITE)

check-pg18:
	@tools/check-pg.sh 18 $(or $(RELEASE),forky) $(SUITE)

clean-cache:
	@tools/chroot.sh remove

dist:
	@tools/dist.sh

check-%: FORCE
	@tools/check.sh $*

bench:
	@tools/install-deps.sh demo
	@tools/build.sh
	@bench/run.sh

bench-%: FORCE
	@tools/install-deps.sh demo
	@tools/build.sh
	@bench/$*.sh

FORCE:

# What else was asked for in the same breath (make install check).
other_goals := $(filter-out $(tool_goals),$(MAKECMDGOALS))
ifneq ($(other_goals),)
.PHONY: $(other_goals)
$(other_goals):
	+@$(MAKE) --no-print-directory $@
endif

else

here := $(dir $(firstword $(MAKEFILE_LIST)))

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(PGXS),)
$(error $(PG_CONFIG) not found: install the PostgreSQL server headers (Debian: postgresql-server-dev-15 on 12, postgresql-server-dev-17 on 13; or run tools/install-deps.sh build) or say where with PG_CONFIG=/path/to/pg_config)
endif
ifeq ($(wildcard $(PGXS)),)
$(error $(PG_CONFIG) is there but the server headers are not ($(PGXS)): install them (Debian: postgresql-server-dev-$(firstword $(subst ., ,$(word 2,$(shell $(PG_CONFIG) --version)))); or run tools/install-deps.sh build))
endif

EXTVERSION := $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" $(here)claiim.control)

OBJS = $(patsubst $(here)src/%.c,src/%.o,$(sort $(wildcard $(here)src/*.c)))
SHLIB_LINK = -lyaml -lcrypto -Wl,--version-script=$(here)src/exports.map
PGFILEDESC = "claiim - authorization gate and proof for AI agents"

# Its script is made from readable parts, in the order of their names.
sql_parts := $(sort $(wildcard $(here)sql/[0-9][0-9]_*.sql))
DATA_built = $(EXTENSION)--$(EXTVERSION).sql
DATA = $(patsubst $(here)%,%,$(sort $(wildcard $(here)sql/claiim--*--*.sql)))
EXTRA_CLEAN = $(EXTENSION)--*.sql src/*.bc src/.flags results output_iso regression.*

# The server's headers are system headers to us: their warnings are not ours.
PG_CPPFLAGS = -I$(here)src -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = -std=gnu11
ifdef WERROR
# Unused parameters come with every fmgr function, hook and callback.
PG_CFLAGS += -Wall -Wextra -Wno-unused-parameter -Werror
endif

# make installcheck, on a running server; make check brings its own.
REGRESS = $(patsubst $(here)test/sql/%.sql,%,$(sort $(wildcard $(here)test/sql/*.sql)))
REGRESS_OPTS = --inputdir=$(here)test
ISOLATION = $(patsubst $(here)test/specs/%.spec,%,$(sort $(wildcard $(here)test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(here)test

# No JIT inlining of our functions: a build must not need the clang that the
# server was built with.
override with_llvm = no

include $(PGXS)

# One short line for each file; V=1 shows the commands, which stay PGXS's own.
ifneq ($(V),1)
$(eval verbose_compile = $(value COMPILE.c))
$(eval verbose_link = $(value LINK.shared))
COMPILE.c = @$(info CC $<)$(verbose_compile)
LINK.shared = @$(info LD $@)$(verbose_link)
endif

$(DATA_built): $(sql_parts) $(here)claiim.control
	@{ printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; \
	   for part in $(sql_parts); do printf '\n'; cat "$$part" || exit 1; done; } > $@.tmp
	@mv $@.tmp $@

# PGXS tracks no headers here, and nothing tracks flags: any change of either
# rebuilds all, which takes seconds.
$(OBJS): $(wildcard $(here)src/*.h) src/.flags | libraries

src/.flags: FORCE
	@mkdir -p src
	@echo '$(subst ','\'',$(CC) $(CPPFLAGS) $(CFLAGS) $(VERSION))' > $@.tmp
	@if cmp -s $@.tmp $@; then rm $@.tmp; else mv $@.tmp $@; fi

# A missing library is said by name, not by the compiler's first error.
.PHONY: libraries FORCE
libraries:
	@command -v $(firstword $(CC)) >/dev/null || \
	 { echo 'claiim: no C compiler ($(firstword $(CC))); Debian: apt-get install gcc libc6-dev' >&2; exit 1; }
	@for pair in stdio.h:libc6-dev yaml.h:libyaml-dev openssl/evp.h:libssl-dev; do \
	   echo "#include <$${pair%%:*}>" | $(CC) $(CPPFLAGS) -fsyntax-only -x c - 2>/dev/null || \
	   { echo "claiim: header $${pair%%:*} not found; Debian: apt-get install $${pair#*:}" >&2; exit 1; }; \
	 done

FORCE:

endif
