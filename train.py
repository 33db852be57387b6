"""Train the system under attack, or the surrogates that imitate it: python train.py stage=target|surrogate."""

from aach_lightning.entry import train

if __name__ == "__main__":
    train()
