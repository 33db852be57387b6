"""Look at a target before it is attacked: python -m aach_lightning.targets check target=... data=..."""

from aach_lightning.runtime.instantiate import partial_of

if __name__ == "__main__":
    partial_of({"_target_": "aach_lightning.zoo.command.main"})()
