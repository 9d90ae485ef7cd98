# METADATA
# title: Operator conflict
# description: >-
#   Whether an organisation may apply for data that is operated under an authorisation: the operator may not take part,
#   directly or through organisations under the same control, in developing further what it operates. Codes are unified
#   social credit codes. Data that nobody operates is free of it; who has no code cannot be told from the operator.
# custom:
#   basis:
#     - 公共数据资源授权运营实施规范（试行）第六条 (运营机构不得直接或间接参与授权范围内已交付产品和服务的再开发)
#     - 公共数据资源授权运营实施规范（试行）第十四条第六项 (运营协议载明不得再开发)
package govopen.operator_conflict

# METADATA
# description: The answer; deny unless the operator and the applicant's codes are known and apart.
# entrypoint: true
decision := {"effect": "permit"} if {
	_facts_known
	_apart
}

else := {"effect": "deny", "reasons": reasons}

_operator_known if input.operator_uscc == null

_operator_known if is_string(input.operator_uscc)

_facts_known if {
	_operator_known
	is_array(input.party_usccs)
}

_apart if input.operator_uscc == null

_apart if {
	is_array(input.party_usccs)
	input.party_usccs != []
	false in {input.operator_uscc in input.party_usccs}
}

reasons contains "facts_unknown" if not _facts_known

reasons contains "operator_conflict" if {
	_facts_known
	not _apart
}
