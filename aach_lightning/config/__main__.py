"""Print the page of all keys: python -m aach_lightning.config > docs/reference/configuration.md."""

import sys

from aach_lightning.config.reference import page

if __name__ == "__main__":
    sys.stdout.write(page())
