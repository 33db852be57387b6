"""The packages of the wheel: those that can be imported, and conf/. All else is said in pyproject.toml."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["aach_lightning*"]), "aach_lightning.conf"])
