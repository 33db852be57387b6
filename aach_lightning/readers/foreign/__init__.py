"""MATLAB and HDF5 files, read by a guarded child process."""
