"""Where the specification lies beside a checkout, if it does: tests over it skip when it is absent."""

from pathlib import Path

import pytest

SPEC = Path(__file__).resolve().parents[2] / "shared" / "spec"
CASES = SPEC.parent / "cases"
needs_spec = pytest.mark.skipif(not SPEC.is_dir(), reason="the specification is not beside this checkout")
