# METADATA
# title: Data access
# description: >-
#   Who may read which rows and columns of a data object, how and for what. Open data goes to everyone; conditional
#   data only under a live grant, within its columns, purpose, scenario, delivery forms, term, addresses and quota;
#   closed data to nobody. Every check is a positive helper that is negated, so what is missing from the input denies.
#   Obligations are named here and filled in by the caller from the facts; no number passes through a policy.
# custom:
#   basis:
#     - 上海市数据条例 第四十一条 (开放属性)
#     - 数据安全法 第二十一条、第二十七条、第三十条 (分级保护)
#     - 个人信息保护法 第二十五条 (不得公开)
#     - 网络数据安全管理条例 第十二条、第三十一条 (约定、风险评估)
#     - 公共数据资源授权运营实施规范（试行）第五条 (提供单位同意)、第六条、第十四条 (运营机构不得再开发)
package govopen.data_access

# METADATA
# description: >-
#   The answer. A permit states all its conditions in one place; everything else is a denial. Its reasons come with the
#   conditions when all facts are there, else from the checks below, one by one. That both find the same reasons, that
#   no permit has one and no denial lacks one, is tested on random requests.
# entrypoint: true
decision := {
	"effect": "permit",
	"obligations": {
		"columns": _granted_columns,
		"masks": input.masks,
		"row_filter": "grant",
		"quota": "grant",
		"watermark": "grantee",
		"log_level": "full",
		"grain": input.action,
	},
} if _granted

else := {
	"effect": "permit",
	"obligations": {"columns": _open_columns, "masks": input.masks, "log_level": "summary"},
} if {
	_open_to_everyone
}

else := {"effect": "deny", "reasons": _faults - {""}, "fields_refused": set()} if {
	_examined
	_nothing_refused
	_faults != {""}
}

else := {"effect": "deny", "reasons": reasons, "fields_refused": _fields_refused}

# A grant is asked about with facts that are all there: what is left to find is whether each check holds.
_granted if {
	_examined
	_nothing_refused
	_faults == {""}
}

# Alternatives are written `true in {one, other}`: cheaper than a rule, and undefined when either cannot be computed.
_examined if {
	object := input.object
	grant := input.grant
	object.open_attribute in {"unconditional", "conditional"}
	true in {object.open_attribute == "conditional", object.grade == "important"}
	true in {object.open_attribute == "conditional", object.has_personal_info == false}
	object.grade in {"important", "general-4", "general-3", "general-2", "general-1"}
	is_boolean(object.has_personal_info)
	is_boolean(object.shared)
	is_string(object.resource_id)
	is_object(object.fields)
	input.action in {"read", "aggregate"}
	input.channel in {"api", "download", "verify", "analysis", "offline"}
	input.subject.kind in {"user", "grant", "key"}
	is_string(input.now)
	is_string(grant.id)
	is_string(grant.state)
	is_string(grant.valid_from)
	is_string(grant.valid_until)
	is_array(grant.columns)
	is_array(grant.delivery)
	is_string(grant.purpose)
	is_string(grant.purpose_class)
	is_string(grant.scenario)
	is_boolean(grant.consent_of_provider)
	is_boolean(grant.risk_assessed)
	is_array(grant.party_usccs)
	true in {object.operator_uscc == null, is_string(object.operator_uscc)}
	true in {input.fields == null, is_array(input.fields)}
	input.fields != []
}

_nothing_refused if {
	_granted_columns != set()
	_asked - _granted_columns == set()
}

# For each check "" when it holds, else its reason: what `reasons` finds one by one, in a fraction of the time. It is
# undefined when a fact is missing, and then nothing is permitted and `reasons` says what is wrong.
_faults := found if {
	grant := input.grant
	object := input.object
	nobody := object.operator_uscc == null
	unknown := grant.party_usccs == []
	same := object.operator_uscc in grant.party_usccs
	found := {
		{true: "", false: "grant_other_object"}[grant.resource_id == object.resource_id],
		_state_reason[grant.state],
		{true: "", false: "grant_not_started"}[grant.valid_from <= input.now],
		{true: "", false: "grant_expired"}[input.now < grant.valid_until],
		{true: "", false: "agreement_missing"}[grant.agreement],
		{true: "", false: "provider_consent_missing"}[true in {object.shared == false, grant.consent_of_provider}],
		{true: "", false: "risk_assessment_missing"}[true in {object.grade != "important", grant.risk_assessed}],
		{true: "", false: "operator_conflict"}[true in {nobody, {unknown, same} == {false}}],
		{true: "", false: "address_not_allowed"}[input.address_allowed == true],
		{true: "", false: "channel_not_granted"}[input.channel in grant.delivery],
		{true: "", false: "purpose_not_granted"}[input.purpose in {null, grant.purpose}],
		{true: "", false: "purpose_class_not_granted"}[input.purpose_class in {null, grant.purpose_class}],
		{true: "", false: "scenario_not_granted"}[input.scenario in {null, grant.scenario}],
		{true: "", false: "quota_exhausted"}[input.quota_exhausted == false],
	}
}

_state_reason := {
	"active": "",
	"revoked": "grant_revoked",
	"suspended": "grant_suspended",
	"exhausted": "grant_exhausted",
	"expired": "grant_expired",
}

_open_to_everyone if {
	object := input.object
	object.open_attribute == "unconditional"
	object.grade in {"general-4", "general-3", "general-2", "general-1"}
	object.has_personal_info == false
	is_boolean(object.shared)
	is_string(object.resource_id)
	input.action in {"read", "aggregate"}
	input.channel in {"api", "download", "verify", "analysis", "offline"}
	input.subject.kind in {"public", "user", "grant", "key"}
	is_string(input.now)
	true in {input.fields == null, is_array(input.fields)}
	input.fields != []
	_open_columns != set()
	_asked - _open_columns == set()
}

# --- object -----------------------------------------------------------------------------------------------------

_attributes := {"unconditional", "conditional", "closed"}

_grades := {"core", "important", "general-4", "general-3", "general-2", "general-1"}

_object_known if {
	input.object.open_attribute in _attributes
	input.object.grade in _grades
	is_string(input.object.resource_id)
	is_object(input.object.fields)
	is_boolean(input.object.has_personal_info)
	is_boolean(input.object.shared)
}

reasons contains "object_unknown" if not _object_known

_request_known if {
	input.action in {"read", "aggregate"}
	input.channel in {"api", "download", "verify", "analysis", "offline"}
	input.subject.kind in {"public", "user", "grant", "key"}
	is_string(input.now)
	_fields_wellformed
}

_fields_wellformed if input.fields == null

_fields_wellformed if {
	is_array(input.fields)
	input.fields != []
}

reasons contains "request_unknown" if not _request_known

_grade_open if input.object.grade in (_grades - {"core"})

reasons contains "grade_core" if not _grade_open

_not_closed if input.object.open_attribute in {"unconditional", "conditional"}

reasons contains "object_closed" if not _not_closed

_unconditional if {
	input.object.open_attribute == "unconditional"
	input.object.grade in (_grades - {"core", "important"})
}

_personal_info_guarded if input.object.has_personal_info == false

_personal_info_guarded if input.object.open_attribute == "conditional"

reasons contains "personal_info_open" if not _personal_info_guarded

# --- grant ------------------------------------------------------------------------------------------------------

# Under which the grant's own facts are worth naming: a grant is needed and one was given.
_grant_examined if {
	not _unconditional
	_not_closed
	_grant_given
}

_grant_given if is_string(input.grant.id)

_subject_named if input.subject.kind in {"user", "grant", "key"}

reasons contains "grant_required" if {
	_not_closed
	not _unconditional
	not _grant_given
}

reasons contains "subject_anonymous" if {
	_grant_examined
	not _subject_named
}

_grant_wellformed if {
	is_string(input.grant.state)
	is_string(input.grant.valid_from)
	is_string(input.grant.valid_until)
	is_array(input.grant.columns)
	is_array(input.grant.delivery)
	is_string(input.grant.purpose)
	is_string(input.grant.purpose_class)
	is_string(input.grant.scenario)
	is_boolean(input.grant.agreement)
	is_boolean(input.grant.consent_of_provider)
	is_boolean(input.grant.risk_assessed)
	is_array(input.grant.party_usccs)
}

reasons contains "grant_malformed" if {
	_grant_examined
	not _grant_wellformed
}

_grant_of_object if input.grant.resource_id == input.object.resource_id

reasons contains "grant_other_object" if {
	_grant_examined
	not _grant_of_object
}

_grant_active if input.grant.state == "active"

reasons contains "grant_revoked" if {
	_grant_examined
	input.grant.state == "revoked"
}

reasons contains "grant_suspended" if {
	_grant_examined
	input.grant.state == "suspended"
}

reasons contains "grant_exhausted" if {
	_grant_examined
	input.grant.state == "exhausted"
}

reasons contains "grant_expired" if {
	_grant_examined
	input.grant.state == "expired"
}

reasons contains "grant_not_active" if {
	_grant_examined
	not _grant_active
	not input.grant.state in {"revoked", "suspended", "exhausted", "expired"}
}

_grant_started if {
	is_string(input.grant.valid_from)
	input.grant.valid_from <= input.now
}

reasons contains "grant_not_started" if {
	_grant_examined
	not _grant_started
}

_grant_not_ended if {
	is_string(input.grant.valid_until)
	input.now < input.grant.valid_until
}

reasons contains "grant_expired" if {
	_grant_examined
	not _grant_not_ended
}

_agreement_present if input.grant.agreement == true

reasons contains "agreement_missing" if {
	_grant_examined
	not _agreement_present
}

_provider_consents if input.object.shared == false

_provider_consents if input.grant.consent_of_provider == true

reasons contains "provider_consent_missing" if {
	_grant_examined
	not _provider_consents
}

_risk_assessed if input.object.grade in (_grades - {"core", "important"})

_risk_assessed if input.grant.risk_assessed == true

reasons contains "risk_assessment_missing" if {
	_grant_examined
	not _risk_assessed
}

# Who operates data under an authorisation takes no part in developing it further, neither itself nor through
# organisations under the same control. A grantee whose codes are not known cannot be told apart from the operator.
_operator_apart if {
	input.object.operator_uscc == null
	is_array(input.grant.party_usccs)
}

_operator_apart if {
	is_string(input.object.operator_uscc)
	is_array(input.grant.party_usccs)
	input.grant.party_usccs != []
	false in {input.object.operator_uscc in input.grant.party_usccs}
}

reasons contains "operator_conflict" if {
	_grant_examined
	not _operator_apart
}

_address_allowed if input.address_allowed == true

reasons contains "address_not_allowed" if {
	_grant_examined
	not _address_allowed
}

_channel_granted if input.channel in input.grant.delivery

reasons contains "channel_not_granted" if {
	_grant_examined
	not _channel_granted
}

# Unstated purpose, class or scenario: the one the agreement binds the key to.
_purpose_granted if input.purpose == null

_purpose_granted if input.purpose == input.grant.purpose

reasons contains "purpose_not_granted" if {
	_grant_examined
	not _purpose_granted
}

_purpose_class_granted if input.purpose_class == null

_purpose_class_granted if input.purpose_class == input.grant.purpose_class

reasons contains "purpose_class_not_granted" if {
	_grant_examined
	not _purpose_class_granted
}

_scenario_granted if input.scenario == null

_scenario_granted if input.scenario == input.grant.scenario

reasons contains "scenario_not_granted" if {
	_grant_examined
	not _scenario_granted
}

_quota_left if input.quota_exhausted == false

reasons contains "quota_exhausted" if {
	_grant_examined
	not _quota_left
}

# --- fields -----------------------------------------------------------------------------------------------------

# Columns that may be had: open ones for everyone; those of the grant under it. Core fields never, important ones only
# after a risk assessment, hidden ones not at all. (Each in a rule of its own: an else branch may hold no comprehension
# with variables, the embedded engine cannot schedule it.)
_may_have := _open_columns if _unconditional

else := _granted_columns

_open_columns := {name |
	is_object(input.object.fields)
	some name, attribute in input.object.fields
	attribute == "unconditional"
	input.object.field_grades[name] in {"general-4", "general-3", "general-2", "general-1"}
	not input.masks[name] == "hide"
}

_granted_columns := {name |
	is_array(input.grant.columns)
	some name in input.grant.columns
	input.object.fields[name] in {"unconditional", "conditional"}
	input.object.field_grades[name] in _grades_granted[input.grant.risk_assessed]
	not input.masks[name] == "hide"
}

# By whether the risk of important data was assessed.
_grades_granted := {
	true: {"important", "general-4", "general-3", "general-2", "general-1"},
	false: {"general-4", "general-3", "general-2", "general-1"},
}

_fields_refused := _asked - _may_have

_asked := {name |
	is_array(input.fields)
	some name in input.fields
}

reasons contains "fields_unknown" if {
	some name in _asked
	not input.object.fields[name]
}

reasons contains "fields_not_open" if {
	_unconditional
	some name in _fields_refused
	input.object.fields[name]
}

reasons contains "fields_not_granted" if {
	_grant_examined
	some name in _fields_refused
	input.object.fields[name]
}

reasons contains "fields_none" if {
	_not_closed
	_fields_examined
	_may_have == set()
}

_fields_examined if _unconditional

_fields_examined if _grant_given
