"""The tree against the recursive definition of RFC 6962, and its proofs against forgery."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofInvalid,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    peaks_of,
    root_of,
)


def mth(entries: list[bytes]) -> bytes:
    """Merkle tree hash as section 2.1 of RFC 6962 words it."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def nodes(entries: list[bytes]) -> dict[tuple[int, int], bytes]:
    frontier, found = Frontier(), {}
    for entry in entries:
        for level, index, value in frontier.append(leaf_hash(entry)):
            found[level, index] = value
    return found


entries_of = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


@given(entries_of)
def test_root_is_the_rfcs(entries: list[bytes]) -> None:
    assert root_of(leaf_hash(e) for e in entries) == (len(entries), mth(entries))


def test_empty_log_has_the_rfcs_empty_root() -> None:
    assert root_of([]) == (0, EMPTY_ROOT)


@given(entries_of, st.data())
def test_every_leaf_is_proved_included(entries: list[bytes], data: st.DataObject) -> None:
    known = nodes(entries)
    index = data.draw(st.integers(0, len(entries) - 1))
    path = inclusion_proof(lambda level, i: known[level, i], index, len(entries))
    check_inclusion(leaf_hash(entries[index]), index, len(entries), path, mth(entries))


@given(entries_of, st.data())
def test_inclusion_of_another_leaf_is_refused(entries: list[bytes], data: st.DataObject) -> None:
    known = nodes(entries)
    index = data.draw(st.integers(0, len(entries) - 1))
    path = inclusion_proof(lambda level, i: known[level, i], index, len(entries))
    with pytest.raises(ProofInvalid):
        check_inclusion(leaf_hash(b"another entry"), index, len(entries), path, mth(entries))


@given(entries_of, st.data())
def test_growth_is_proved_consistent(entries: list[bytes], data: st.DataObject) -> None:
    known = nodes(entries)
    old = data.draw(st.integers(1, len(entries)))
    path = consistency_proof(lambda level, i: known[level, i], old, len(entries))
    check_consistency(old, len(entries), mth(entries[:old]), mth(entries), path)


@given(st.lists(st.binary(max_size=8), min_size=2, max_size=70), st.data())
def test_changed_history_is_not_consistent(entries: list[bytes], data: st.DataObject) -> None:
    old = data.draw(st.integers(1, len(entries) - 1))
    before = mth(entries[:old])
    changed = [b"changed after the fact", *entries[1:]]
    known = nodes(changed)
    path = consistency_proof(lambda level, i: known[level, i], old, len(changed))
    with pytest.raises(ProofInvalid):
        check_consistency(old, len(changed), before, mth(changed), path)


@given(st.integers(1, 5_000))
def test_peaks_cover_the_tree_once(size: int) -> None:
    covered = [leaf for level, index in peaks_of(size) for leaf in range(index << level, (index + 1) << level)]
    assert covered == list(range(size))
