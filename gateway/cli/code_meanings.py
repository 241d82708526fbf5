"""How the command line shows what a code means: advice, who has to act, and where it was seen."""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.cli.terminal import echo
from gateway.model import Actor, Code
from gateway.views.api import MeaningView, NewsView

_NAMES: Final[Mapping[str, str]] = {
    Actor.PLATFORM: "电商平台 / the platform",
    Actor.PAYMENT_FIRM: "支付企业 / the payment firm",
    Actor.LOGISTICS_FIRM: "物流企业 / the logistics firm",
    Actor.BROKER: "报关企业 / the broker",
    Actor.WAREHOUSE: "监管场所经营人 / whoever runs the supervised site",
    Actor.DECLARANT: "申报企业 / whoever declared it",
    Actor.OPERATOR: "网关运营方 / whoever runs the gateway",
    Actor.CUSTOMS: "海关 / customs",
    Actor.NOBODY: "无须任何一方 / nobody",
}
_REGIONAL: Final = "仅在部分关区出现 / seen in some customs regions only"


def actors(who: Sequence[str]) -> str:
    """Name who has to act, in both languages; empty: nobody is named."""
    return ", ".join(_NAMES.get(one, one) for one in who)


def meaning_text(meaning: MeaningView) -> str:
    """Return in one line what a status means, and what the text beside it says."""
    said: list[MeaningView | NewsView] = [meaning, *meaning.news]
    return "; ".join(f"{one.zh} / {one.en}" for one in said)


def advice_lines(meaning: MeaningView | NewsView | Code) -> list[str]:
    """Return what to do, who has to do it, and whether the code is regional, a line each; none of what is not known."""
    advice = f"{meaning.advice_zh} / {meaning.advice_en}" if meaning.advice_en else ""
    acts = f"须处理方 / to act: {actors(meaning.who)}" if meaning.who else ""
    return [line for line in (advice, acts, _REGIONAL if meaning.regional else "") if line]


def tell_cure(meaning: MeaningView | NewsView, *, indent: str) -> None:
    """Print the lines of `advice_lines`, and which fields had changed most often when it was gone."""
    learned = ", ".join(meaning.cured_by)
    for line in (
        *advice_lines(meaning),
        *((f"常因修改以下字段而消除 / often cured by: {learned}",) if learned else ()),
    ):
        echo(f"{indent}{line}")
