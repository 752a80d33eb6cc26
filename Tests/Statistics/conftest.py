"""Each file of tests has one database of its own, dropped at the end."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from warehouse import Warehouse  # noqa: E402


@pytest.fixture(scope="module")
def warehouse():
    with Warehouse() as made:
        yield made
