"""``python -m layermilp``."""

import sys

from layermilp.cli import main

if __name__ == "__main__":
    sys.exit(main())
