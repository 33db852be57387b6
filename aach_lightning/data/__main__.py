"""Look at data, or fetch them: python -m aach_lightning.data check DIR|FILE, ... download mirflickr25k|mscoco."""

import sys

from aach_lightning.runtime.instantiate import partial_of

if __name__ == "__main__":
    sys.exit(partial_of({"_target_": "aach_lightning.readers.command.main"})())
