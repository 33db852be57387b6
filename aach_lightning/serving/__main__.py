"""The entry of `python -m aach_lightning.serving`."""

from aach_lightning.serving.serve import main

if __name__ == "__main__":
    main()
