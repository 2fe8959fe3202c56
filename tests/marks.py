"""Values of parameters with which a test is left to a later run; pyproject.toml has the kinds."""

import pytest


def slow(*values):
    """The values of one test that `-m slow` runs."""
    return pytest.param(*values, marks=pytest.mark.slow)


def exhaustive(*values):
    """The values of one test that `-m exhaustive` runs."""
    return pytest.param(*values, marks=pytest.mark.exhaustive)
