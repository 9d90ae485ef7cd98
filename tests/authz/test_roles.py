"""The role index equals pycasbin; the policy says what the role and action matrix says; duties are separate."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz import SYSTEM, Effect, Identity, Role, may, organisations_where, require, separate
from authz.roles import ActionNotPermitted, SelfDecision
from authz.roles.duties import conflicting
from authz.roles.index import RoleIndex, RolePolicy, RolePolicyInvalid, enforcer

ROLES = ["r0", "r1", "r2", "r3"]
ACTIONS = ["a:x", "a:y", "b:x"]
ORGANISATIONS = ["o1", "o2", "o3"]
PEOPLE = ["p1", "p2"]

policies = st.builds(
    RolePolicy,
    st.lists(
        st.tuples(st.sampled_from(ROLES), st.sampled_from(["own", "any"]), st.sampled_from(ACTIONS)), max_size=8,
    ).map(tuple),
    st.lists(st.tuples(st.sampled_from(ROLES), st.sampled_from(ROLES)), max_size=5)
    .map(lambda pairs: tuple((a, b) for a, b in pairs if a != b)),
)
seats = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from(ROLES), st.sampled_from(ORGANISATIONS)), max_size=5,
)


@settings(max_examples=int(os.environ.get("GOVOPEN_POLICY_EXAMPLES", "300")), deadline=None)
@given(policies, seats)
def test_index_equals_casbin_on_random_policies(policy: RolePolicy, held: list[tuple[str, str, str]]) -> None:
    judge = enforcer(policy, held)
    index = RoleIndex.compile(policy)
    for person in PEOPLE:
        mine = [(role, organisation) for who, role, organisation in held if who == person]
        for organisation in ORGANISATIONS:
            for action in ACTIONS:
                expected = judge.enforce("u:" + person, organisation, action)
                assert index.permits(mine, organisation, action) is expected


def test_index_equals_casbin_on_the_policy_in_force() -> None:
    policy = RolePolicy.read()
    index = RoleIndex.compile(policy)
    actions = sorted(index.own.keys() | index.everywhere.keys())
    for role in Role:
        judge = enforcer(policy, [("p", role.value, "o1")])
        for organisation in ("o1", "o2"):
            for action in actions:
                assert index.permits([(role.value, "o1")], organisation, action) is judge.enforce(
                    "u:p", organisation, action
                ), (role, organisation, action)


def person(*roles: tuple[Role, str]) -> Identity:
    return Identity("u1", "wang", "王", roles=frozenset(roles))


ALLOWED = {
    "application:submit": {Role.ENTERPRISE_ADMIN},
    "application:form_review": {Role.AUTHORITY},
    "application:owner_review": {Role.DATA_OWNER},
    "application:price_propose": {Role.EXCHANGE_PRICER},
    "application:price_approve": {Role.EXCHANGE_APPROVER},
    "application:sign": {Role.ENTERPRISE_ADMIN},
    "grant:revoke": {Role.DATA_OWNER, Role.EXCHANGE_OFFICER, Role.AUTHORITY},
    "key:issue": {Role.ENTERPRISE_ADMIN},
    "registration:accept": {Role.REGISTRAR},
    "registration:review": {Role.REGISTRAR},
    "registration:notice": {Role.REGISTRAR},
    "registration:code": {Role.REGISTRAR},
    "registration:revoke": {Role.AUTHORITY},
    "ceiling:propose": {Role.AUTHORITY},
    "ceiling:approve": {Role.AUTHORITY},
    "rate:propose": {Role.EXCHANGE_PRICER},
    "rate:approve": {Role.EXCHANGE_APPROVER},
    "invoice:close": {Role.EXCHANGE_OFFICER},
    "payment:record": {Role.EXCHANGE_OFFICER},
    "settlement:run": {Role.EXCHANGE_OFFICER},
    "settlement:approve": {Role.EXCHANGE_APPROVER},
    "party:verify": {Role.AUTHORITY},
    "audit:read": {Role.AUTHORITY, Role.AUDITOR},
    "role:assign": {Role.SECURITY_ADMIN},
    "object:publish": {Role.PUBLISHER, Role.DATA_OWNER},
    "object:approve_downgrade": {Role.AUTHORITY},
    "data:load": {Role.PUBLISHER, Role.DATA_OWNER},
}


@pytest.mark.parametrize(("action", "roles"), ALLOWED.items(), ids=lambda one: one if isinstance(one, str) else "")
def test_matrix_of_roles_and_actions(action: str, roles: set[Role]) -> None:
    """Exactly these roles permit the action, in their own organisation."""
    for role in Role:
        decision = may(person((role, "o1")), action, "o1")
        assert (decision.effect is Effect.PERMIT) is (role in roles), (role, action)


OWN_ONLY = ["application:submit", "application:owner_review", "object:publish", "data:load", "key:issue"]


@pytest.mark.parametrize("action", OWN_ONLY)
def test_roles_of_departments_and_enterprises_end_at_their_organisation(action: str) -> None:
    for role in ALLOWED[action]:
        assert may(person((role, "o1")), action, "o2").effect is Effect.DENY
        assert may(person((role, "o1")), action, None).effect is Effect.DENY
        assert organisations_where(person((role, "o1"), (role, "o2")), action) == {"o1", "o2"}


def test_nobody_changes_the_audit() -> None:
    for role in Role:
        for action in ("audit:write", "audit:delete"):
            assert may(person((role, "o1")), action, "o1").codes == ("action_unknown",)


def test_sysadmin_of_ckan_is_no_role() -> None:
    root = Identity("u1", "root", "root", sysadmin=True)
    assert may(root, "audit:read", None).codes == ("role_missing",)


def test_require_names_the_roles_that_would_do() -> None:
    with pytest.raises(ActionNotPermitted) as refused:
        require(person((Role.PUBLISHER, "o1")), "party:verify", None)
    assert refused.value.status == 403
    assert refused.value.reasons[0].code == "role_missing"
    assert "主管部门" in refused.value.next("zh")
    require(person((Role.AUTHORITY, "o1")), "party:verify", "o9")
    require(SYSTEM, "invoice:close", None)


def test_malformed_policy_lines_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "roles.csv"
    for line in ("p, authority, somewhere, party:verify", "p, authority, any", "q, a, b", "p, authority, any, verify"):
        path.write_text(line + "\n")
        with pytest.raises(RolePolicyInvalid):
            RolePolicy.read(path)


def test_nobody_decides_their_own_submission() -> None:
    wang, li = Identity("u1", "wang", "王"), Identity("u2", "li", "李")
    separate(wang, li)
    separate(wang, None)
    with pytest.raises(SelfDecision) as refused:
        separate(wang, "u1", "pricer_approves")
    assert [reason.code for reason in refused.value.reasons] == ["pricer_approves"]
    separate(SYSTEM, SYSTEM)


def test_three_administrations_are_three_people() -> None:
    trio = [Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDITOR]
    for held in trio:
        for wanted in trio:
            assert (conflicting(frozenset({held}), wanted) is None) is (held is wanted)
    assert conflicting(frozenset({Role.EXCHANGE_PRICER}), Role.EXCHANGE_APPROVER) is Role.EXCHANGE_PRICER
    assert conflicting(frozenset({Role.EXCHANGE_OFFICER}), Role.EXCHANGE_APPROVER) is None
