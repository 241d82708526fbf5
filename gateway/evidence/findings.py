"""What a verifier says: each finding is proven, broken (the file contradicts itself or the signatures), or open."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec


class FindingMark(StrEnum):
    """The kind of a finding."""

    PROVEN = "proven"
    BROKEN = "broken"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFinding:
    """One sentence of the verdict, in both languages."""

    mark: FindingMark
    text: str
    text_zh: str


Findings = Iterator[EvidenceFinding]


def proven(text: str, text_zh: str) -> EvidenceFinding:
    """Say what holds."""
    return EvidenceFinding(mark=FindingMark.PROVEN, text=text, text_zh=text_zh)


def broken(text: str, text_zh: str) -> EvidenceFinding:
    """Say what does not hold."""
    return EvidenceFinding(mark=FindingMark.BROKEN, text=text, text_zh=text_zh)


def unproven(text: str, text_zh: str) -> EvidenceFinding:
    """Say what the file leaves open."""
    return EvidenceFinding(mark=FindingMark.OPEN, text=text, text_zh=text_zh)


def differences(
    name: str, name_zh: str, shown: Mapping[str, object], recorded: Mapping[str, object]
) -> Findings:
    """Say in which fields a part of the file is not what the log recorded."""
    for field, value in shown.items():
        if recorded.get(field) != value:
            yield broken(f"{name}: {field} is not what the log says", f"{name_zh}：{field}与日志记录不符")


def json_form(finding: EvidenceFinding) -> dict[str, str]:
    """Return the JSON form of a finding."""
    return msgspec.to_builtins(finding, str_keys=True)  # type: ignore[no-any-return]
