"""What may be written over what is known: the rule that every store applies.  No I/O."""

from dataclasses import dataclass
from hashlib import blake2b

from choreo.store.port import Claim, State, Verdict

FINGERPRINT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a store keeps of one key, or of one idempotency key."""

    state: State
    """OPEN for a claim whose lease ran out."""
    fingerprint: bytes
    """Of the payload; of an idempotency key: of the event that used it last."""
    generation: int = 0
    fence: int = 0


def judge(kept: Kept | None, claim: Claim, fence: int | None) -> Verdict:
    """Say whether *claim*, held under *fence* if under a lease, may be written over *kept*.

    WRITTEN if so; what ended tells so before whose lease it was, because that is for good.
    """
    if kept is None:
        return Verdict.WRITTEN if fence is None else Verdict.FENCED
    if kept.fingerprint != claim.fingerprint and claim.generation <= kept.generation:
        return Verdict.CONFLICT
    if claim.generation < kept.generation or (kept.state is State.DONE and not claim.forced):
        return Verdict.DUPLICATE
    if kept.state in {State.DONE, State.DEAD}:
        replay = claim.generation > kept.generation and fence is None
        return Verdict.WRITTEN if replay else Verdict.DUPLICATE
    if fence is not None:
        held = kept.fence == fence
        return Verdict.WRITTEN if held else Verdict.FENCED
    return Verdict.BUSY if kept.state is State.CLAIMED else Verdict.WRITTEN


def judge_purpose(kept: Kept | None, claim: Claim, fence: int | None) -> Verdict:
    """Say the same of the idempotency key that *claim* has besides its event's id.

    Only what succeeded uses it up: an event that failed leaves it to the next one.
    """
    if kept is None or kept.state in {State.OPEN, State.DEAD}:
        return Verdict.WRITTEN
    if kept.state is State.DONE:
        return Verdict.WRITTEN if claim.forced else Verdict.DUPLICATE
    if fence is None:
        return Verdict.BUSY
    return Verdict.WRITTEN if kept.fingerprint == bearer(claim) else Verdict.FENCED


def bearer(claim: Claim) -> bytes:
    """Tell the events apart that share an idempotency key, in 16 bytes."""
    _, source, identity = claim.key
    text = f"{len(source)} {source} {identity}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=FINGERPRINT).digest()
