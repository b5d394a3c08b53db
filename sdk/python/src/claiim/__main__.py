"""``python -m claiim``."""

import sys

from claiim.cli import main

if __name__ == "__main__":
    sys.exit(main())
