"""Black-box attacks on image-text hashing retrieval, and what they cost: AACH (ICCV 2021) and its measurement."""

__version__ = "0.1.0"
