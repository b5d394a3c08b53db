# The plain C sources, which know nothing of the server, built with sanitizers
# outside of it, and what tests them there: test/unit and test/fuzz.
#
#   make -f tools/check/plain.mk OUT=directory unit|fuzz
#
# Plain is what does not reach postgres.h, by whatever chain of headers.

OUT ?= .claiim/plain
CC = gcc
CFLAGS = -std=c11 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all -Wall -Wextra -Werror
CPPFLAGS = -Isrc -Itest/unit -Itest/fuzz -D_DEFAULT_SOURCE

plain := $(shell for file in src/*.c; do \
	headers=$$($(CC) -MM -MG -Isrc $$file 2>/dev/null) || continue; \
	echo $$headers | grep -q 'postgres\.h' || echo $$file; done)
objects := $(patsubst src/%.c,$(OUT)/%.o,$(plain))
headers := $(wildcard src/*.h test/unit/*.h test/fuzz/*.h)

unit := $(patsubst test/unit/%.c,$(OUT)/%,$(sort $(wildcard test/unit/test_*.c)))
fuzz := $(patsubst test/fuzz/%.c,$(OUT)/%,$(filter-out test/fuzz/fuzz_main.c,$(sort $(wildcard test/fuzz/fuzz_*.c))))

.PHONY: unit fuzz list
.SECONDARY:
unit: $(unit)
fuzz: $(fuzz)
list:
	@echo plain: $(plain)

$(OUT):
	mkdir -p $@

$(OUT)/%.o: src/%.c $(headers) | $(OUT)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# An archive, so that a test may include the source whose insides it tests.
$(OUT)/libplain.a: $(objects)
	rm -f $@
	$(AR) -rcs $@ $(objects)

$(unit): $(OUT)/%: test/unit/%.c $(OUT)/libplain.a $(headers)
	$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(OUT)/libplain.a -lyaml -lcrypto

$(fuzz): $(OUT)/%: test/fuzz/%.c test/fuzz/fuzz_main.c $(OUT)/libplain.a $(headers)
	$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< test/fuzz/fuzz_main.c $(OUT)/libplain.a -lyaml -lcrypto
