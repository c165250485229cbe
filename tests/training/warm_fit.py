"""Imports all that `fit` needs, for processes that start from one that has imported this."""

from wsiseg.training import fit  # noqa: F401
