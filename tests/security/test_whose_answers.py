"""Thirty enterprises, a third of them hostile: every answer reaches its owner, and nobody else sees a byte of it.

Who is right is said by the names under which this run itself wrote each answer, and, where customs' own words leave it
open, by a rule that is written here anew, on the declarations alone. Nothing of `gateway.receipts.ownership` is used.
"""

import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import pytest

from gateway.config.gateway_toml import LimitsConfig
from gateway.model import Enterprise, Envelope, Message, MessageId, MessageType
from gateway.receipts.content import content_for
from gateway.samples.compose import PLAIN, SINGLES_DAY, Style, compose
from gateway.submission.new_messages import new_message_of
from gateway.submission.pipeline import examine
from gateway.xml.envelope import wrap
from spool.entry import Accepted, Conflict, NewMessage
from tests.backends import BACKENDS
from tests.documents import document, element, response, responses
from tests.ownership_node import CUSTOMS, Node, envelope, tenant
from tests.shipped_rules import shipped
from tests.spool_samples import Clock
from tests.unit.test_new_messages import config

DECLARATIONS: Final = int(os.environ.get("WHOSE_ANSWERS_DECLARATIONS", "1500"))
"""10,000 for the whole run, some minutes a spool."""
SEED: Final = 29
TENANTS, HOSTILE, SHARED_IDS = 30, 10, 3
NODE_ID: Final = "DXPNODE000000001"
BATCH: Final = 64
RULES = shipped()
KINDS = RULES.catalogue.declarations()
REP: Final = "DxpRep"
DAY_ONE: Final = date(2026, 1, 1)
_MARKER: Final = re.compile(r"for-e\d\d-\d{8,17}")
KEYLESS = Style(leave_out=frozenset({"copNo"}))


@dataclass(eq=False, slots=True, kw_only=True)
class Made:
    """A declaration that was taken."""

    owner: str
    kind: MessageType
    key: Mapping[str, str]
    versions: list[tuple[str, Mapping[str, str]]]
    """The DXP id and the codes of each."""
    uid: str
    numbers: Mapping[str, str]
    """Customs will give it these."""
    claims: bool = False
    late: bool = False
    """Its answers came first."""

    def lives_at(self, dxp_ids: Sequence[str]) -> bool:
        return any(dxp_id in dxp_ids for dxp_id, _ in self.versions)

    def could_say(self, said: Mapping[str, str]) -> bool:
        """Say whether one of its versions has no other text for what an answer says."""
        return any(
            all({**codes, **self.key}.get(name, text) == text for name, text in said.items())
            for _, codes in self.versions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One body of a receipt: whose it is, and what it says."""

    about: Made
    receipt: MessageType | None
    """None: the exchange itself says it, in a Response of a DxpRep."""
    said: Mapping[str, str]
    to: tuple[str, ...]
    at: str
    """Like that of no other body."""

    @property
    def owner(self) -> str:
        return self.about.owner

    @property
    def marker(self) -> str:
        return f"for-{self.owner}-{self.at}"

    @property
    def root(self) -> str:
        return REP if self.receipt is None else self.receipt.name

    @property
    def names_the_message(self) -> bool:
        """Whether it says by CopMsgId which message it is about."""
        return self.root in {REP, "CEB900Message"}

    def written(self) -> str:
        if self.receipt is None:
            day = f"{self.at[:4]}-{self.at[4:6]}-{self.at[6:]}"
            return response(self.said["CopMsgId"], self.said["SenderId"], "3001", info=self.marker, day=day)
        leaves = {"guid": self.marker, **self.said, self.receipt.status: "2", self.receipt.time: self.at}
        inner = element(self.receipt.head, **leaves) if self.receipt.head else ""
        return element(self.receipt.body, inner, **({} if inner else leaves))


class Run:
    """The world: who lives in it, what they declare, what customs answers."""

    def __init__(self, node: Node, rng: random.Random) -> None:
        self.node, self.rng = node, rng
        self.made: list[Made] = []
        """Every declaration that was taken, of everybody."""
        self.bodies: list[Body] = []
        self.refused: Counter[str] = Counter()
        self.squats: set[str] = set()
        """Messages under a CopMsgId that somebody else's has."""
        self.owners: dict[str, str] = {}
        """Of what was taken, by uid."""
        self.in_the_way = 0
        """Of them, those whose sender and CopMsgId were taken."""
        self._new_messages: list[NewMessage] = []
        self._known: dict[tuple[str, str], Made] = {}
        self._serial = 0
        names = list(node.tenants)
        self.hostile, self.honest = names[:HOSTILE], names[HOSTILE:]

    # ---- what is declared

    def declare(
        self, who: str, kind: MessageType, dxp_id: str, text: Mapping[str, str], **more: object
    ) -> Made | None:
        """Hand a declaration in at the door, as it judges today."""
        caller = self.node.tenants[who]
        style = KEYLESS if more.get("claims") else PLAIN
        (cop_code,) = caller.cop_codes
        self._serial += 1
        body = compose(
            kind.name,
            cop_code=cop_code,
            dxp_id=dxp_id,
            rng=self.rng,
            items=1,
            overrides=text,
            style=style,
            app_time=SINGLES_DAY + timedelta(seconds=self._serial),  # no two are one version
        )
        verdict = examine(body.body, caller, RULES, LimitsConfig(), local_receivers=self.node.local_receivers)
        if not isinstance(verdict, Message):
            self.refused.update({fault.rule for fault in verdict.faults})
            return None
        (one,) = verdict.header.declarations
        uid = f"{self._serial:08d}-0000-7000-8000-000000000000"
        new = new_message_of(
            verdict, caller, uid=MessageId(uid), config=config(), local_receivers=self.node.local_receivers
        )
        identity = new.subjects[0].identity
        known = self._known.get((who, identity))
        made = known or Made(
            owner=who, kind=kind, key=one.key, versions=[], uid=uid,
            numbers=self.numbers(kind), claims=bool(more.get("claims")), late=bool(more.get("late")),
        )  # fmt: skip
        made.versions.append((dxp_id, one.codes))
        made.uid = uid
        if known is None:
            self._known[who, identity] = made
            self.made.append(made)
        self._new_messages.append(new)
        return made

    def held(self) -> list[NewMessage]:
        """Take what was declared since, to be put later."""
        new_messages, self._new_messages = self._new_messages, []
        return new_messages

    def put(self, given: Sequence[NewMessage] = ()) -> None:
        """Commit these, or else what was declared since."""
        given = given or self.held()
        for first in range(0, len(given), BATCH):
            new_messages = given[first : first + BATCH]
            for new, reply in zip(new_messages, self.node.spool.put(new_messages), strict=True):
                if isinstance(reply, Conflict):
                    assert new.uid in self.squats
                    assert reply.reason == "cop_msg_id"
                    assert self.owners.get(reply.uid, new.owner) == new.owner, "nobody hears whose it is"
                    self.in_the_way += 1
                else:
                    assert isinstance(reply, Accepted), reply
                    self.owners[new.uid] = new.owner

    def numbers(self, kind: MessageType) -> dict[str, str]:
        self._serial += 1
        return {name: f"{name[0].upper()}20250102{self._serial:09d}" for name in kind.numbers}

    def honest_one(self, *, late: bool = False) -> None:
        """Declare under a guessable number: with a code of its own, or at its own DXP id one that anybody may use."""
        rng = self.rng
        who, kind = rng.choice(self.honest), rng.choice(KINDS)
        caller = self.node.tenants[who]
        own, shared = sorted(caller.dxp_ids, key=lambda one: one.startswith("DXPSHARED"))
        at = rng.choice((own, shared))
        codes = sorted(caller.cop_codes | caller.acts_for)
        code = rng.choice(codes if at == shared else [*codes, "4409999999"])
        text = self.texts(kind, code, f"{rng.randrange(DECLARATIONS):06d}")
        made = self.declare(who, kind, at, text, late=late)
        if made is not None and not late and "ebcCode" in kind.codes and rng.random() < 0.2:
            change = {**text, "ebcCode": "4408888888", "appType": "2"}
            self.declare(who, kind, at, change)

    def texts(self, kind: MessageType, code: str, number: str) -> dict[str, str]:
        text = {name: code if name in kind.key_codes else f"N{number}" for name in kind.key}
        text = {name: value for name, value in text.items() if name not in {"logisticsStatus", "msgSeqNo"}}
        return {**text, **({"ebcCode": f"44077777{number[-1]}0"} if "ebcCode" in kind.codes else {})}

    def hostile_one(self, victim: Made, *, late: bool = False) -> None:
        """Reach for a victim's answers in one of the ways there are."""
        rng = self.rng
        who = rng.choice(self.hostile)
        caller = self.node.tenants[who]
        own, shared = sorted(caller.dxp_ids, key=lambda one: one.startswith("DXPSHARED"))
        (code,) = caller.cop_codes
        at = rng.choice((own, shared))
        copied = {**rng.choice(victim.versions)[1], **victim.key}
        tactic = rng.choice(("key", "handle", "claim", "squat"))
        if tactic == "squat" and not victim.late:  # nobody knows the number before it is given
            self.squat(caller, at, victim)
            return
        if tactic != "key":
            copied |= dict.fromkeys(victim.kind.key_codes, code)
        claims = tactic == "claim" and bool(victim.kind.handle)
        if claims:
            copied = {**{name: text for name, text in copied.items() if name != "copNo"}, **victim.numbers}
        self.declare(who, victim.kind, at, copied, claims=claims, late=late)

    def squat(self, caller: Enterprise, sender: str, victim: Made) -> None:
        """Hand in a message of one's own under the CopMsgId of a victim's."""
        self._serial += 1
        (cop_code,) = caller.cop_codes
        business = compose("CEB311Message", cop_code=cop_code, dxp_id=sender, rng=self.rng, items=1).body
        about = Envelope(
            cop_msg_id=victim.uid, sender_id=sender, receiver_ids=(CUSTOMS,), creat_time="2025-01-02T12:05:06"
        )
        verdict = examine(
            wrap(business, about), caller, RULES, LimitsConfig(), local_receivers=self.node.local_receivers
        )
        assert isinstance(verdict, Message), verdict
        uid = MessageId(f"{self._serial:08d}-0000-7000-8000-000000000000")
        self.squats.add(uid)
        self._new_messages.append(
            new_message_of(
                verdict, caller, uid=uid, config=config(), local_receivers=self.node.local_receivers
            )
        )

    # ---- what customs says

    def answer(self, made: Made) -> None:
        """Write all the answers to a declaration."""
        first = RULES.catalogue.types[made.kind.answered_by[0]]
        for given in (made.kind.numbers[:1], made.kind.numbers):
            self.body(made, first, self.key_said(made, first), given)
        for name in made.kind.answered_by[1:]:
            self.body(made, RULES.catalogue.types[name], {}, made.kind.numbers[-1:])
        if self.rng.random() < 0.05:
            self._about_the_message(made)

    def key_said(self, made: Made, receipt: MessageType) -> dict[str, str]:
        """Give the key as receipts of this type repeat it: half of them without what is optional there.

        Whole for what is declared late: a copNo alone, of something not handed in here, may be anybody's who has the same.
        """
        said = {name: made.key[name] for name in receipt.key if name in made.key}
        if receipt.handle and not made.late and self.rng.random() < 0.5:
            return {receipt.handle: said[receipt.handle]} if receipt.handle in said else {}
        return said

    def body(self, made: Made, receipt: MessageType, key: Mapping[str, str], given: Sequence[str]) -> None:
        dxp_id, version = self.rng.choice(made.versions)
        codes = {name: version[name] for name in receipt.codes if name in version and self.rng.random() < 0.5}
        numbers = {name: made.numbers[name] for name in given if name in receipt.numbers}
        self._say(made, receipt, {**codes, **key, **numbers}, dxp_id)

    def _about_the_message(self, made: Made) -> None:
        sender = made.versions[-1][0]
        said = {"oriCopMsgId": made.uid, "oriMessageType": made.kind.name}
        self._say(made, RULES.catalogue.types["CEB900Message"], said, sender)
        self._say(made, None, {"CopMsgId": made.uid, "SenderId": sender}, sender)

    def _say(self, made: Made, receipt: MessageType | None, said: Mapping[str, str], dxp_id: str) -> None:
        self._serial += 1
        at = f"20250102{self._serial:09d}"
        to = self.rng.choices(((dxp_id,), (NODE_ID,), ()), (85, 5, 10))[0]
        if receipt is None:  # it has a day, and one receiver
            at, to = f"{DAY_ONE + timedelta(days=self._serial):%Y%m%d}", to or (NODE_ID,)
        self.bodies.append(Body(about=made, receipt=receipt, said=said, to=to, at=at))

    def receipts(self) -> Iterator[bytes]:
        """Put up to four bodies of one type and address into one message, in any order."""
        self.rng.shuffle(self.bodies)
        together: defaultdict[tuple[str, tuple[str, ...]], list[Body]] = defaultdict(list)
        for body in self.bodies:
            held = together[body.root, body.to]
            held.append(body)
            if len(held) >= self.rng.choice((1, 1, 2, 4)):
                yield _message(held)
                held.clear()
        yield from (_message(held) for held in together.values() if held)


def _message(bodies: Sequence[Body]) -> bytes:
    first, written = bodies[0], [one.written() for one in bodies]
    if first.receipt is None:
        return responses(*written, receiver=first.to[0])
    return envelope(document(first.root, "".join(written)), first.to)


class Oracle:
    """Says which bodies can be told to be their owner's, by what was declared and what they say; no more than that."""

    def __init__(self, run: Run) -> None:
        self._local_receivers = {one: who for who in run.node.tenants.values() for one in who.dxp_ids}
        self._holders = Counter(one for who in run.node.tenants.values() for one in who.dxp_ids)
        self._bound = {
            code: str(who.id) for who in run.node.tenants.values() for code in who.cop_codes | who.acts_for
        }
        self._by_field: defaultdict[tuple[str, str, str], list[Made]] = defaultdict(list)
        for made in run.made:
            for name, text in made.key.items():
                self._by_field[made.kind.name, name, text].append(made)

    def decidable(self, bodies: Sequence[Body]) -> set[str]:
        """Return the times of those that are somebody's beyond doubt."""
        sure = {one.at for one in bodies if self._by_itself(one)}
        known: set[str] = set()
        while True:
            told = {
                text
                for one in bodies
                if one.at in sure
                for name, text in one.said.items()
                if name in one.about.numbers
            }
            if told == known:
                return sure
            known = told
            sure |= {one.at for one in bodies if not known.isdisjoint(one.said.values())}

    def _by_itself(self, body: Body) -> bool:
        made = body.about
        if body.names_the_message:
            return True
        whole = all(name in body.said for name in made.kind.key)
        its_own = whole and any(self._bound.get(made.key[name]) == made.owner for name in made.kind.key_codes)
        alone = len(body.to) == 1 and self._holders[body.to[0]] == 1
        if its_own or (alone and (whole or made.kind.handle in body.said)):
            return True
        if made.late or not (whole or made.kind.handle in body.said):
            return False
        return not any(self._rival(one, body, whole=whole) for one in self._near(body))

    def _near(self, body: Body) -> Sequence[Made]:
        made = body.about
        name = made.kind.handle or made.kind.key[-1]
        return self._by_field[made.kind.name, name, made.key[name]]

    def _rival(self, other: Made, body: Body, *, whole: bool) -> bool:
        made = body.about
        if (
            other.late
            or other.owner == made.owner
            or (body.to and body.to[0] in self._local_receivers and not other.lives_at(body.to))
        ):
            return False
        if whole:
            return other.key == made.key
        return other.could_say({name: text for name, text in body.said.items() if name not in made.numbers})


def world() -> list[Enterprise]:
    """Every enterprise has a DXP id of its own, and one that it shares with nine others."""
    return [
        tenant(
            f"e{number:02d}", f"DXPENT{number:010d}", f"DXPSHARED{number % SHARED_IDS:07d}",
            cop_code=f"4401{number:06d}", acts_for=() if number < HOSTILE else {f"4402{number:06d}"},
        )
        for number in range(TENANTS)
    ]  # fmt: skip


def played(node: Node) -> Run:
    """Let everything happen: declarations, reaching for others' answers, the answers, and what is declared after them."""
    run = Run(node, random.Random(SEED))
    while len(run.made) < DECLARATIONS * 2 // 3:
        run.honest_one()
        if run.rng.random() < 0.5:
            run.hostile_one(run.rng.choice(run.made))
    honest = [made for made in run.made if made.owner in run.honest]
    for victim in run.rng.sample(honest, len(honest) // 3):
        run.hostile_one(victim)
    run.put()
    for _ in range(DECLARATIONS // 20):
        run.honest_one(late=True)
    rightful = list(run.made)
    honest_late = run.held()
    for made in rightful:
        run.answer(made)
    raws = list(run.receipts())
    for first in range(0, len(raws), BATCH):
        node.come(*raws[first : first + BATCH])
    for victim in run.rng.sample(rightful, len(rightful) // 6):
        run.hostile_one(victim, late=True)
    run.put(run.held())
    match_again(node)
    run.put(honest_late)
    match_again(node)
    return run


def match_again(node: Node) -> None:
    """Try every orphan, as the keeper does where something has come that it points at."""
    after = 0
    while page := node.spool.orphans_after(after, limit=500):
        node.filer.rematch([one for one in page if one.pointers])
        after = page[-1].id


@pytest.fixture(scope="module", params=BACKENDS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("whose") / "state"
    with closing(BACKENDS[request.param](folder, Clock())) as spool:
        yield played(Node.of(spool, RULES, world()))


def test_the_door_refuses_what_would_take_another_s_key(run: Run) -> None:
    assert set(run.refused) == {"code_of_another", "code_not_bound", "no_business_key"}
    assert run.refused["code_of_another"] > DECLARATIONS // 20


def test_who_takes_a_number_that_is_taken_is_not_told_whose_it_is(run: Run) -> None:
    assert 0 < run.in_the_way < len(run.squats), "under a shared DXP id alone it is in the way"


def test_no_answer_is_misplaced(run: Run) -> None:
    owner = {body.at: body.owner for body in run.bodies}
    assert [
        (who, row) for who in run.node.tenants for row in run.node.told(who) if owner[row[2]] != who
    ] == []


def test_no_answer_is_withheld_from_its_owner(run: Run) -> None:
    told = {at for who in run.node.tenants for _, _, at in run.node.told(who)}
    sure = Oracle(run).decidable(run.bodies)
    assert [body for body in run.bodies if body.at in sure and body.at not in told] == []
    assert len(sure) > 0.95 * len(run.bodies), "nearly all say enough"


def test_every_owner_sees_its_own_bodies_whole_and_not_a_byte_of_others(run: Run) -> None:
    written = {body.marker: body.written().encode() for body in run.bodies}
    spool = run.node.spool
    for who in run.node.tenants:
        shown: Counter[str] = Counter()
        after = 0
        while page := spool.notices(who, after=after, limit=500):
            after = page[-1].cursor
            for notice in page:
                content = content_for(who, notice.arrival, spool, RULES.catalogue)
                assert content is not None
                markers = _MARKER.findall(content.decode())
                assert {row.at for row in notice.rows} <= {one.rpartition("-")[2] for one in markers}
                assert all(one.startswith(f"for-{who}-") and written[one] in content for one in markers)
                shown.update(markers)
        assert set(shown) == {f"for-{who}-{at}" for _, _, at in run.node.told(who)}
