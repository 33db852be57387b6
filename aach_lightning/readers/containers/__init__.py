"""Packs in circulation: HDF5 and MATLAB files, text lists; told apart by their keys and shapes, not by file names."""
