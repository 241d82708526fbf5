"""Whether what is said to people is said in English and in Chinese, each on its own."""

import re
from typing import Final

from gateway.model import Fault

CHINESE: Final = re.compile("[\u3400-\u9fff]")
_ENGLISH: Final = re.compile(r"\b[a-z]{2,} [a-z]{2,}\b")
_QUOTED: Final = re.compile(r"gateway translate --split|chmod 640 FILE|<\?xml[^>]*>")
"""What may stand in a Chinese sentence although it looks like words in English."""


def reads_chinese(text: str) -> bool:
    """Say whether a text is Chinese: names, codes and values may be in other letters, words of a sentence may not."""
    return bool(CHINESE.search(text)) and not _ENGLISH.search(_QUOTED.sub("", text))


def in_two_languages(fault: Fault) -> bool:
    """Say whether a fault is told whole in both languages, with every word filled in."""
    texts = (fault.message, fault.fix, fault.message_zh, fault.fix_zh)
    return (
        all(texts)
        and reads_chinese(fault.message_zh)
        and reads_chinese(fault.fix_zh)
        and not any("{" in text or "  " in text for text in texts)
    )
