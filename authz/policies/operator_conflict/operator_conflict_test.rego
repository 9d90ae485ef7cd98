package govopen.operator_conflict_test

import data.govopen.operator_conflict

_operator := "91350100M000100Y43"

_party := "91110000100000015K"

_reasons(operator, codes) := reasons if {
	answer := operator_conflict.decision with input as {"operator_uscc": operator, "party_usccs": codes}
	answer.effect == "deny"
	reasons := answer.reasons
}

_permitted(operator, codes) if {
	answer := operator_conflict.decision with input as {"operator_uscc": operator, "party_usccs": codes}
	answer == {"effect": "permit"}
}

test_permit_operated_by_another if _permitted(_operator, [_party])

test_permit_nobody_operates if _permitted(null, [_party])

test_permit_nobody_operates_and_no_code if _permitted(null, [])

test_deny_the_operator_itself if _reasons(_operator, [_operator]) == {"operator_conflict"}

test_deny_under_the_same_control if _reasons(_operator, [_party, _operator]) == {"operator_conflict"}

test_deny_without_a_code if _reasons(_operator, []) == {"operator_conflict"}

test_deny_empty_input if {
	answer := operator_conflict.decision with input as {}
	answer == {"effect": "deny", "reasons": {"facts_unknown"}}
}

test_deny_operator_of_other_type if _reasons(0, [_party]) == {"facts_unknown"}

test_deny_codes_of_other_type if _reasons(_operator, null) == {"facts_unknown"}

test_deny_codes_as_text if _reasons(_operator, _operator) == {"facts_unknown"}
