"""Texts about the progress of messages that an enterprise may see: a closed set of phrases, by kind of cause.

Errors of a destination, a key or the spool name hosts, users, paths and commands of whoever runs the gateway. They
stay in `gateway trace` and in the log. Nothing of them can get into a phrase: phrases take only numbers, times and
ids of messages (docs/http-api.md).
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.model import MessageId
from spool.ending import OVERTAKEN
from spool.entry import MessageView
from spool.lifecycle import State

Fact = int | datetime | tuple[MessageId, ...]


class Phrase(NamedTuple):
    """The same text in both languages."""

    en: str
    zh: str


NOTHING: Final = Phrase("", "")


class Cause(StrEnum):
    """Kinds of causes; each has one phrase."""

    READY = "ready"
    ON_ITS_WAY = "on its way"
    GOES_AFTER = "goes after"
    TRIED_AGAIN = "tried again"
    NOT_SIGNED = "not signed"
    HELD = "held"
    DEAD = "dead"
    OVERTAKEN = "overtaken"
    DISCARDED = "discarded"
    DELIVERED_HERE = "delivered here"
    DELIVERED_HOME = "delivered home"
    UNANSWERED = "unanswered"
    UNDECIDED = "undecided"
    REFUSED = "refused"
    STALLED = "stalled"
    TO_FETCH = "to fetch"
    ANSWERED = "answered"
    ATTEMPT_FAILED = "attempt failed"
    SPOOL_AWAY = "spool away"
    SPOOL_HELD = "spool held"
    NOT_RELOADED = "not reloaded"
    LEFT_OUT = "left out"


_PHRASES: Final[Mapping[Cause, Phrase]] = MappingProxyType(
    {
        Cause.READY: Phrase("is ready to go", "等待发送"),
        Cause.ON_ITS_WAY: Phrase("is on its way", "正在发送"),
        Cause.GOES_AFTER: Phrase(
            "goes after {messages}, which is about the same declarations",
            "须等待同一单证的较早报文{messages}先行发送",
        ),
        Cause.TRIED_AGAIN: Phrase(
            "failed {count} times, next attempt at {at}", "已有{count}次发送未成功，下次发送时间为{at}"
        ),
        Cause.NOT_SIGNED: Phrase("is not signed, tried again at {at}", "暂时无法加签，将于{at}重试"),
        Cause.HELD: Phrase("is held back by whoever runs the gateway", "已由网关运营方暂停发送"),
        Cause.DEAD: Phrase(
            "could not be delivered; whoever runs the gateway has to act", "未能送达，须由网关运营方处理"
        ),
        Cause.OVERTAKEN: Phrase(
            "could not be delivered before a newer message about the same declarations went out;"
            " whoever runs the gateway has to act",
            "未能送达，且同一单证的较新报文已先行发送，须由网关运营方处理",
        ),
        Cause.DISCARDED: Phrase("was given up by whoever runs the gateway", "已由网关运营方放弃发送"),
        Cause.DELIVERED_HERE: Phrase("was delivered at this gateway", "已在本网关送达"),
        Cause.DELIVERED_HOME: Phrase("was delivered on this channel", "已由该通道送达"),
        Cause.UNANSWERED: Phrase(
            "{count} of {of} declarations have no answer yet", "{of}份单证中有{count}份尚无回执"
        ),
        Cause.UNDECIDED: Phrase(
            "{count} of {of} declarations are not decided yet", "{of}份单证中有{count}份尚无审核结果"
        ),
        Cause.REFUSED: Phrase(
            "{count} of {of} declarations were refused: to be mended and sent anew",
            "{of}份单证中有{count}份被退回，须修改后重新申报",
        ),
        Cause.STALLED: Phrase(
            "{count} of {of} declarations will not go on by themselves",
            "{of}份单证中有{count}份将停滞，须有关方处理",
        ),
        Cause.TO_FETCH: Phrase("has {count} answers to fetch and acknowledge", "有{count}份回执待获取并确认"),
        Cause.ANSWERED: Phrase("every declaration has its answer", "全部单证均已收到回执"),
        Cause.ATTEMPT_FAILED: Phrase("the last attempt to deliver it failed", "最近一次发送未成功"),
        Cause.SPOOL_AWAY: Phrase("the store of messages cannot be used now", "报文存储暂时不可用"),
        Cause.SPOOL_HELD: Phrase(
            "another process of the gateway keeps the store of messages from being written",
            "网关的另一进程正占用报文存储，暂时无法写入",
        ),
        Cause.NOT_RELOADED: Phrase(
            "the configuration could not be read again at {at}; the one before is in force",
            "{at}重新读取配置失败，仍沿用原有配置",
        ),
        Cause.LEFT_OUT: Phrase(
            "{count} of the enterprises, channels, doors and mappings cannot be used and are left out",
            "有{count}项企业、通道、接入口或映射的配置无法使用，已被忽略",
        ),
    }
)


def phrase(cause: Cause, **facts: Fact) -> Phrase:
    """Return the phrase of a cause. Raises KeyError when a fact is missing."""
    words = {name: _written(fact) for name, fact in facts.items()}
    en, zh = _PHRASES[cause]
    return Phrase(en.format(**words), zh.format(**words))


def failure_of(view: MessageView) -> Phrase:
    """Return what is wrong with an entry, if anything: all that an enterprise sees of `MessageView.error`."""
    if not view.error:
        return NOTHING
    match view.state:
        case State.DEAD:
            return phrase(dead_of(view))
        case State.READY if not view.attempts:
            return phrase(Cause.NOT_SIGNED, at=view.due_at)
        case _:
            return phrase(Cause.ATTEMPT_FAILED)


def dead_of(view: MessageView) -> Cause:
    """Return why an entry is dead."""
    return Cause.OVERTAKEN if view.error.startswith(OVERTAKEN) else Cause.DEAD


def _written(fact: Fact) -> str:
    match fact:
        case datetime():
            return f"{fact:%Y-%m-%dT%H:%M:%SZ}"
        case int():
            return str(fact)
        case _:
            return ", ".join(fact)
