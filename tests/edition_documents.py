"""Export inventories that one edition takes and the other does not; all invented."""

import random

from gateway.samples.compose import compose
from tests.documents import COP_CODE, DXP_ID

BEFORE, NOW = "2018-113", "202205"
_WORDS = {
    BEFORE: {"logisticsNo": "LONG-WAYBILL-NUMBER-OF-MORE-THAN-32"},  # 202205: 32 characters at most
    NOW: {"ebpName": ""},  # 2018-113: 1 character at least
    "": {},
}


def inventory_for(
    edition: str = "", *, number: int = 1, cop_code: str = COP_CODE, dxp_id: str = DXP_ID
) -> bytes:
    """Return CEB603Message number `number`, valid by that edition only; empty: by both."""
    return compose(
        "CEB603Message",
        cop_code=cop_code,
        dxp_id=dxp_id,
        rng=random.Random(number),
        overrides={"copNo": f"COP-{number:06}", **_WORDS[edition]},
    ).body
