package govopen.data_access_test

import data.govopen.data_access

_object := {
	"resource_id": "res-register",
	"open_attribute": "conditional",
	"grade": "general-3",
	"has_personal_info": true,
	"shared": false,
	"operator_uscc": null,
	"fields": {"name": "conditional", "uscc": "unconditional", "phone": "conditional", "note": "closed"},
	"field_grades": {
		"name": "general-2",
		"uscc": "general-1",
		"phone": "general-3",
		"note": "general-3",
	},
}

_grant := {
	"id": "grt_1",
	"state": "active",
	"resource_id": "res-register",
	"columns": ["name", "uscc"],
	"delivery": ["api"],
	"purpose": "lending_risk_control",
	"purpose_class": "industry",
	"scenario": "s",
	"valid_from": "2026-01-01T00:00:00.000000Z",
	"valid_until": "2027-01-01T00:00:00.000000Z",
	"agreement": true,
	"consent_of_provider": false,
	"risk_assessed": false,
	"party_usccs": ["91110000100000015K"],
}

_request := {
	"subject": {"kind": "key", "id": "key_1"},
	"action": "read",
	"channel": "api",
	"now": "2026-11-23T02:00:00.000000Z",
	"purpose": null,
	"purpose_class": null,
	"scenario": null,
	"fields": null,
	"quota_exhausted": false,
	"address_allowed": true,
	"object": _object,
	"masks": {"name": "partial:name"},
	"grant": _grant,
}

_open := {
	"subject": {"kind": "public", "id": "-"},
	"action": "read",
	"channel": "api",
	"now": "2026-11-23T02:00:00.000000Z",
	"purpose": null,
	"purpose_class": null,
	"scenario": null,
	"fields": null,
	"quota_exhausted": false,
	"address_allowed": true,
	"masks": {},
	"grant": null,
	"object": {
		"resource_id": "res-villages",
		"open_attribute": "unconditional",
		"grade": "general-1",
		"has_personal_info": false,
		"shared": false,
		"operator_uscc": null,
		"fields": {"code": "unconditional", "name": "unconditional"},
		"field_grades": {"code": "general-1", "name": "general-1"},
	},
}

_with(changes) := object.union(_request, changes)

_reasons(changed) := answer.reasons if {
	answer := data_access.decision with input as changed
	answer.effect == "deny"
}

test_permit_grant_whole_answer if {
	answer := data_access.decision with input as _request
	answer == {
		"effect": "permit",
		"obligations": {
			"columns": {"name", "uscc"},
			"masks": {"name": "partial:name"},
			"row_filter": "grant",
			"quota": "grant",
			"watermark": "grantee",
			"log_level": "full",
			"grain": "read",
		},
	}
}

test_permit_open_to_public if {
	answer := data_access.decision with input as _open
	answer == {
		"effect": "permit",
		"obligations": {"columns": {"code", "name"}, "masks": {}, "log_level": "summary"},
	}
}

test_permit_stated_purpose if {
	answer := data_access.decision with input as _with({"purpose": "lending_risk_control", "fields": ["uscc"]})
	answer.effect == "permit"
}

test_permit_aggregate_stays_one if {
	answer := data_access.decision with input as _with({"action": "aggregate"})
	answer.obligations.grain == "aggregate"
}

test_permit_shared_with_consent if {
	answer := data_access.decision with input as _with({
		"object": {"shared": true},
		"grant": {"consent_of_provider": true},
	})
	answer.effect == "permit"
}

test_permit_important_after_assessment if {
	answer := data_access.decision with input as _with({
		"object": {"grade": "important"},
		"grant": {"risk_assessed": true},
	})
	answer.effect == "permit"
}

test_permit_operated_by_another if {
	answer := data_access.decision with input as _with({"object": {"operator_uscc": "91350100M000100Y43"}})
	answer.effect == "permit"
}

test_deny_empty_input if {
	answer := data_access.decision with input as {}
	answer.effect == "deny"
	"object_unknown" in answer.reasons
}

test_deny_no_grant if _reasons(_with({"grant": null})) == {"grant_required"}

test_deny_closed if _reasons(_with({"object": {"open_attribute": "closed"}})) == {
	"object_closed",
	"personal_info_open",
}

test_deny_core if "grade_core" in _reasons(_with({"object": {"grade": "core"}}))

test_deny_important_without_assessment if {
	_reasons(_with({"object": {"grade": "important"}})) == {"risk_assessment_missing"}
}

test_deny_personal_info_open_to_everyone if _reasons(object.union(
	_open,
	{"object": {"has_personal_info": true}},
)) == {"personal_info_open"}

test_deny_anonymous_with_grant if _reasons(_with({"subject": {"kind": "public"}})) == {"subject_anonymous"}

test_deny_other_object if _reasons(_with({"grant": {"resource_id": "res-other"}})) == {"grant_other_object"}

test_deny_revoked if _reasons(_with({"grant": {"state": "revoked"}})) == {"grant_revoked"}

test_deny_suspended if _reasons(_with({"grant": {"state": "suspended"}})) == {"grant_suspended"}

test_deny_exhausted if _reasons(_with({"grant": {"state": "exhausted"}})) == {"grant_exhausted"}

test_deny_unknown_state if _reasons(_with({"grant": {"state": "open"}})) == {"grant_not_active"}

test_deny_not_started if {
	_reasons(_with({"grant": {"valid_from": "2026-12-01T00:00:00.000000Z"}})) == {"grant_not_started"}
}

test_deny_expired_at_the_instant if {
	_reasons(_with({"grant": {"valid_until": "2026-11-23T02:00:00.000000Z"}})) == {"grant_expired"}
}

test_deny_no_agreement if _reasons(_with({"grant": {"agreement": false}})) == {"agreement_missing"}

test_deny_shared_without_consent if _reasons(_with({"object": {"shared": true}})) == {"provider_consent_missing"}

test_deny_operator_itself if {
	_reasons(_with({"object": {"operator_uscc": "91110000100000015K"}})) == {"operator_conflict"}
}

test_deny_operator_under_same_control if _reasons(_with({
	"object": {"operator_uscc": "91350100M000100Y43"},
	"grant": {"party_usccs": ["91110000100000015K", "91350100M000100Y43"]},
})) == {"operator_conflict"}

test_deny_operated_and_code_unknown if _reasons(_with({
	"object": {"operator_uscc": "91350100M000100Y43"},
	"grant": {"party_usccs": []},
})) == {"operator_conflict"}

test_deny_operator_of_other_type if _reasons(_with({"object": {"operator_uscc": false}})) == {"operator_conflict"}

test_deny_codes_of_other_type if _reasons(_with({"grant": {"party_usccs": null}})) == {
	"grant_malformed",
	"operator_conflict",
}

test_deny_address if _reasons(_with({"address_allowed": false})) == {"address_not_allowed"}

test_deny_channel if _reasons(_with({"channel": "download"})) == {"channel_not_granted"}

test_deny_purpose if _reasons(_with({"purpose": "marketing"})) == {"purpose_not_granted"}

test_deny_purpose_class if _reasons(_with({"purpose_class": "public_interest"})) == {"purpose_class_not_granted"}

test_deny_scenario if _reasons(_with({"scenario": "other"})) == {"scenario_not_granted"}

test_deny_quota if _reasons(_with({"quota_exhausted": true})) == {"quota_exhausted"}

test_deny_fields_not_granted if {
	answer := data_access.decision with input as _with({"fields": ["name", "phone"]})
	answer == {"effect": "deny", "reasons": {"fields_not_granted"}, "fields_refused": {"phone"}}
}

test_deny_fields_unknown if _reasons(_with({"fields": ["nothing"]})) == {"fields_unknown"}

test_deny_no_fields_asked if _reasons(_with({"fields": []})) == {"request_unknown"}

test_deny_hidden_field if _reasons(_with({"fields": ["name"], "masks": {"name": "hide"}})) == {"fields_not_granted"}

test_deny_closed_field_even_when_granted if _reasons(_with({
	"fields": ["note"],
	"grant": {"columns": ["note"]},
})) == {"fields_not_granted", "fields_none"}

test_deny_truth_values_of_other_type if _reasons(_with({"quota_exhausted": 0, "address_allowed": 1})) == {
	"quota_exhausted",
	"address_not_allowed",
}

test_deny_time_of_other_type if "grant_malformed" in _reasons(_with({"grant": {"valid_from": null}}))

test_deny_field_of_closed_attribute_in_open_object if _reasons(object.union(
	_open,
	{"fields": ["name"], "object": {"fields": {"name": "conditional"}}},
)) == {"fields_not_open"}
