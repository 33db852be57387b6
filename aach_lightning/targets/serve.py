"""The former name of `python -m aach_lightning.serving`, for one release more."""

import runpy
import sys

if __name__ == "__main__":
    sys.stderr.write("python -m aach_lightning.targets.serve is now python -m aach_lightning.serving\n")
    runpy.run_module("aach_lightning.serving", run_name="__main__", alter_sys=True)
