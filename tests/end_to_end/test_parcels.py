"""Two enterprises of a running gateway declare an order and its payment, and each is told about its own document."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from gateway.config.site import NewEnterprise
from gateway.model import EnterpriseId
from gateway.simulator.world import LocalWorld
from tests.parcel_documents import PAYER, PLATFORM, order, payment
from tests.platforms import Platform

SHOP = NewEnterprise(id="shop", name="Shop", cop_codes=(PLATFORM,), dxp_ids=("DXPSHOP000000001",))
FIRM = NewEnterprise(id="firm", name="Firm", cop_codes=(PAYER,), dxp_ids=("DXPFIRM000000001",))
NOBODY = NewEnterprise(id="nobody", name="Nobody", cop_codes=("4400000066",), dxp_ids=("DXPNOBODY0000001",))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorld]:
    with LocalWorld(
        tmp_path_factory.mktemp("parcels"), enterprises=(SHOP, FIRM, NOBODY), families=("import",)
    ) as world:
        yield world


@contextmanager
def platform(world: LocalWorld, one: NewEnterprise) -> Iterator[Platform]:
    with closing(Platform(world.address, world.site.tokens[EnterpriseId(one.id)])) as found:
        yield found


def test_each_is_told_about_its_own_document_and_a_third_one_nothing(world: LocalWorld) -> None:
    with platform(world, SHOP) as shop, platform(world, FIRM) as firm, platform(world, NOBODY) as nobody:
        body = order(cop_code=PLATFORM, dxp_id=SHOP.dxp_ids[0])
        assert shop.once("POST", "/v1/messages", body).status == 202
        paid = payment(cop_code=PAYER, dxp_id=FIRM.dxp_ids[0], amountPaid="100")
        assert firm.once("POST", "/v1/messages", paid).status == 202

        for who, kind, element in ((shop, "order", "acturalPaid"), (firm, "payment", "amountPaid")):
            (own,) = who.once("GET", "/v1/parcels?order_no=ORDER-1").json()["documents"]
            assert own["kind"] == kind
            (said,) = own["compared"]["matching"]
            assert (said["code"], said["element"], said.get("value", "")) == (
                "1332", element, "",
            )  # fmt: skip
            assert own["standing"]["type"] == own["type"]
        timeline = shop.once(
            "GET",
            f"/v1/declarations?type=CEB311Message&key=ebpCode={PLATFORM}%20ebcCode=4400000003%20orderNo=ORDER-1",
        ).json()
        assert [said["rule"] for said in timeline["matching"]] == ["parcel-amount"]

        assert nobody.once("GET", "/v1/parcels?order_no=ORDER-1").status == 404
        assert nobody.once("GET", "/v1/parcels?order_no=ORDER-2").status == 404
        for asked in ("", "?order_no=1&waybill_no=2", f"?order_no={'1' * 61}", "?order=1"):
            assert shop.once("GET", f"/v1/parcels{asked}").status == 400
