"""`signing` and `spool` are short names: nobody else's package may stand under them (ADR 0001)."""

from importlib.metadata import packages_distributions

import pytest

OURS = "customs-exchange-gateway"


@pytest.mark.parametrize("name", ["gateway", "signing", "spool"])
def test_no_other_distribution_provides_our_names(name: str) -> None:
    assert set(packages_distributions().get(name, ())) <= {OURS}
