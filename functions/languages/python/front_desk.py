"""The front desk of `functions/front-desk`, in Python: the same questions get the same plans.

World `blocking-router` of wit/voice.wit. `componentize-py` makes the modules `wit_world` (with the class to implement) and
`wit_world.imports.types` (the contract's records, variants and enums) while it builds.
"""

from datetime import datetime, timedelta, timezone

import wit_world
from wit_world.imports import types as t

DESK = "front-desk"
"""The address that callers dial to reach the desk."""

STAFF = ["alice", "bob"]
"""Who sits at the desk: all ring at once."""

DESK_RINGS_MS = 20_000
"""How long the desk rings."""

PERSON_RINGS_MS = 30_000
"""How long a person who is dialled directly rings."""

ZONE = timezone(timedelta(minutes=60))
"""Where the desk is: Central European (winter) time."""

OPENS, CLOSES = 9, 17
"""When the desk is open, Monday to Friday: from the full hour, until before the full hour."""

OPEN_ALL_HOURS = True
"""Keeps the desk open around the clock, so that the demonstration works at night too."""


class WitWorld(wit_world.WitWorld):
    """What the gateway asks."""

    def route(self, context: t.Context, event: t.Event) -> t.Plan:
        """Asked when a call comes in, when a plan consults, and when the call has ended."""
        # No plan of this function consults, and the answer to `ended` is ignored.
        if not isinstance(event, t.Event_Incoming):
            return plan([])
        if context.to != DESK:
            return plan([t.Step_RingBack(), ring([context.to], PERSON_RINGS_MS)])
        if OPEN_ALL_HOURS or is_open(context.now):
            refusal = reject(t.Cause.NO_ANSWER, "Everybody at the front desk is busy")
            return plan([t.Step_RingBack(), ring(STAFF, DESK_RINGS_MS), refusal])
        return plan([reject(t.Cause.CLOSED, f"We are open Monday to Friday, {OPENS} to {CLOSES}")])


def plan(steps: list[t.Step]) -> t.Plan:
    return t.Plan(steps=steps, state=b"")


def ring(users: list[str], ring_timeout: int) -> t.Step:
    targets = [t.DialTarget(address=t.Address_User(user), round=0, weight=0) for user in users]
    return t.Step_Dial(
        t.DialStep(
            targets=targets,
            strategy=t.DialStrategy.AT_ONCE,
            ring_timeout=ring_timeout,
            max_duration=None,
            caller_id=None,
            whisper=None,
            confirm_key=None,
            after_answer=t.AfterAnswer.HANG_UP,
        )
    )


def reject(cause: t.Cause, reason: str) -> t.Step:
    return t.Step_Reject(t.Rejection(cause=cause, reason=reason))


def is_open(now_ms: int) -> bool:
    """`now_ms` is the call's own time: the same question gets the same answer, in a test as on a node."""
    local = datetime.fromtimestamp(now_ms // 1000, ZONE)
    return local.weekday() < 5 and OPENS <= local.hour < CLOSES
