package govopen.publish_gate_test

import data.govopen.publish_gate

_closed := {
	"object": {"open_attribute": "closed", "grade": "general-4", "has_personal_info": true},
	"fields": {"id_number": {
		"open_attribute": "closed",
		"grade": "general-4",
		"sensitive": true,
		"masked": false,
	}},
	"findings": {"id_number": ["id_number"]},
	"stated": ["legal_basis", "refuse_reason"],
	"previous": null,
	"downgrade_approved": false,
}

_conditional := {
	"object": {"open_attribute": "conditional", "grade": "general-3", "has_personal_info": true},
	"fields": {"phone": {
		"open_attribute": "conditional",
		"grade": "general-3",
		"sensitive": true,
		"masked": true,
	}},
	"findings": {"phone": ["column_name", "phone"]},
	"stated": ["open_mode", "security_measures", "use_requirements"],
	"previous": null,
	"downgrade_approved": false,
}

_open := {
	"object": {"open_attribute": "unconditional", "grade": "general-1", "has_personal_info": false},
	"fields": {"code": {
		"open_attribute": "unconditional",
		"grade": "general-1",
		"sensitive": false,
		"masked": false,
	}},
	"findings": {"code": ["email"]},
	"stated": [],
	"previous": null,
	"downgrade_approved": false,
}

_violations(changed) := answer.violations if {
	answer := publish_gate.decision with input as changed
	answer.effect == "deny"
}

_permitted(changed) if {
	answer := publish_gate.decision with input as changed
	answer == {"effect": "permit"}
}

test_permit_open if _permitted(_open)

test_permit_conditional_masked if _permitted(_conditional)

test_permit_closed_with_reason_and_basis if _permitted(_closed)

test_permit_upgrade if _permitted(object.union(_open, {"previous": "closed"}))

test_permit_downgrade_approved if _permitted(object.union(
	_conditional,
	{"previous": "unconditional", "downgrade_approved": true},
))

test_deny_empty_input if _violations({}) == {["facts_unknown", ""]}

test_deny_facts_of_other_type if _violations(object.union(_open, {"downgrade_approved": 1})) == {["facts_unknown", ""]}

test_deny_unknown_grade_of_field if _violations(object.union(
	_open,
	{"fields": {"code": {"grade": "general-9"}}},
)) == {["facts_unknown", ""]}

test_deny_core_open if {
	["grade_blocks_open", ""] in _violations(object.union(_conditional, {"object": {"grade": "core"}}))
}

test_deny_important_open if _violations(object.union(
	_conditional,
	{"object": {"grade": "important"}},
)) == {["grade_blocks_open", ""]}

test_deny_unconditional_above_1 if _violations(object.union(
	_open,
	{"object": {"grade": "general-2"}},
)) == {["grade_blocks_unconditional", ""]}

test_deny_field_above_dataset if _violations(object.union(
	_open,
	{"fields": {"code": {"grade": "general-2"}}},
)) == {["field_grade_above_dataset", "code"]}

test_deny_grade_3_unmasked if _violations(object.union(
	_conditional,
	{"fields": {"phone": {"masked": false}}},
)) == {["field_grade_needs_mask", "phone"]}

test_deny_stricter_field if _violations(object.union(
	_open,
	{"fields": {"code": {"open_attribute": "conditional"}}},
)) == {["field_attribute_stricter", "code"]}

test_deny_personal_info_open if _violations(object.union(
	_open,
	{"object": {"has_personal_info": true}},
)) == {["personal_info_open", ""]}

test_deny_personal_info_found if _violations(object.union(
	_open,
	{"findings": {"code": ["phone"]}},
)) == {["personal_info_found", "code"]}

test_deny_personal_info_undeclared if _violations(object.union(
	_conditional,
	{"object": {"has_personal_info": false}},
)) == {["personal_info_undeclared", "phone"]}

test_deny_field_not_marked_sensitive if _violations(object.union(
	_conditional,
	{"fields": {"phone": {"sensitive": false}}},
)) == {["field_sensitive_undeclared", "phone"]}

test_deny_closed_without_reason if _violations(object.union(
	_closed,
	{"stated": ["legal_basis"]},
)) == {["statement_missing", "refuse_reason"]}

test_deny_conditional_without_conditions if _violations(object.union(_conditional, {"stated": []})) == {
	["statement_missing", "open_mode"],
	["statement_missing", "security_measures"],
	["statement_missing", "use_requirements"],
}

test_deny_downgrade if _violations(object.union(
	_conditional,
	{"previous": "unconditional"},
)) == {["downgrade_needs_approval", ""]}

test_deny_downgrade_to_closed if _violations(object.union(
	_closed,
	{"previous": "conditional"},
)) == {["downgrade_needs_approval", ""]}
