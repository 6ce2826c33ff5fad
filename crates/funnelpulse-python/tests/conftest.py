"""A small shop that the tests share."""

import funnelpulse as fp
import pytest


@pytest.fixture(scope="session")
def shop():
    """The hourly table and its labels: 5 brands, 28 days."""
    return fp.generate(brands=5, days=28, seed=7)


@pytest.fixture(scope="session")
def table(shop):
    return shop[0]


@pytest.fixture(scope="session")
def fitted(table):
    return fp.Pipeline().fit(table)
