#!/bin/bash
#
# One unit test: a program, or a Python script by the system's own Python, which
# is the one that sees the distribution's modules.

case $1 in
	*.py) exec timeout 300 /usr/bin/python3 "$1" ;;
	*) exec timeout 300 "$1" ;;
esac
