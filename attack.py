"""Attack an image-text hashing system that only answers with codes, and measure the damage: python attack.py."""

from aach_lightning.entry import attack

if __name__ == "__main__":
    attack()
