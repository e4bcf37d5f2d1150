"""``python -m hebbit.scripts`` is ``hebbit``."""

import sys

from hebbit.scripts import main

if __name__ == "__main__":
    sys.exit(main())
