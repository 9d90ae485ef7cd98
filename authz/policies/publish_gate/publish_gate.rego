# METADATA
# title: Publish gate
# description: >-
#   Whether the catalogue facts of a data object may be published: grade, personal information, open attribute and what
#   the law wants stated must fit together, for the object and for every field. What is missing from the input is a
#   violation. Each violation is a pair of a code and the field or condition it is about ("" for the object itself).
# custom:
#   basis:
#     - 数据安全法 第二十一条 (分类分级保护)
#     - 个人信息保护法 第二十五条 (不得公开个人信息)
#     - 上海市数据条例 第四十一条 (开放属性, 不予开放的范围)
#     - 深圳经济特区数据条例 第四十九条 (有条件开放应当列明的内容)
#     - 淄博市公共数据管理办法 第二十八条至第三十一条 (降低开放程度须经主管部门批准)
package govopen.publish_gate

# METADATA
# description: The answer; deny unless the object is well formed and nothing is violated.
# entrypoint: true
decision := {"effect": "permit"} if {
	_object_known
	_fields_known
	_facts_known
	violations == set()
}

else := {"effect": "deny", "violations": violations}

_attributes := {"unconditional", "conditional", "closed"}

_grades := {"core", "important", "general-4", "general-3", "general-2", "general-1"}

# For each grade, the grades above it.
_above := {
	"general-1": {"general-2", "general-3", "general-4", "important", "core"},
	"general-2": {"general-3", "general-4", "important", "core"},
	"general-3": {"general-4", "important", "core"},
	"general-4": {"important", "core"},
	"important": {"core"},
	"core": set(),
}

# Kinds of findings that are personal information whatever the column is called.
_personal := {"id_number", "phone", "bank_card"}

_object_known if {
	input.object.open_attribute in _attributes
	input.object.grade in _grades
	is_boolean(input.object.has_personal_info)
}

_fields_known if {
	is_object(input.fields)
	_unknown_fields == set()
}

_unknown_fields := {name |
	is_object(input.fields)
	some name, field in input.fields
	not _field_known(field)
}

_field_known(field) if {
	field.open_attribute in _attributes
	field.grade in _grades
	is_boolean(field.sensitive)
	is_boolean(field.masked)
}

_facts_known if {
	is_object(input.findings)
	is_array(input.stated)
	is_boolean(input.downgrade_approved)
	input.previous in {null, "unconditional", "conditional", "closed"}
}

violations contains ["facts_unknown", ""] if not _object_known

violations contains ["facts_unknown", ""] if not _fields_known

violations contains ["facts_unknown", ""] if not _facts_known

# Core and important data is never opened raw (CAT-02).
violations contains ["grade_blocks_open", ""] if {
	input.object.grade in {"core", "important"}
	not input.object.open_attribute == "closed"
}

# Open to everyone only what harms nobody: grade general-1.
violations contains ["grade_blocks_unconditional", ""] if {
	input.object.open_attribute == "unconditional"
	not input.object.grade in {"general-1", "important", "core"}
}

violations contains ["field_grade_above_dataset", name] if {
	some name, field in _fields
	field.grade in _above[input.object.grade]
}

# Under conditions, columns of grade 3 and 4 leave masked or not at all.
violations contains ["field_grade_needs_mask", name] if {
	input.object.open_attribute == "conditional"
	some name, field in _fields
	field.grade in {"general-3", "general-4", "important", "core"}
	not field.open_attribute == "closed"
	not field.masked == true
}

# A file that everyone may download whole cannot hold a column that they may not have.
violations contains ["field_attribute_stricter", name] if {
	input.object.open_attribute == "unconditional"
	some name, field in _fields
	not field.open_attribute == "unconditional"
}

violations contains ["personal_info_open", ""] if {
	input.object.open_attribute == "unconditional"
	not input.object.has_personal_info == false
}

violations contains ["personal_info_found", name] if {
	input.object.open_attribute == "unconditional"
	some name in _personal_columns
}

violations contains ["personal_info_undeclared", name] if {
	not input.object.open_attribute == "unconditional"
	not input.object.has_personal_info == true
	some name in _personal_columns
}

violations contains ["field_sensitive_undeclared", name] if {
	not input.object.open_attribute == "unconditional"
	some name in _personal_columns
	not input.fields[name].sensitive == true
}

violations contains ["statement_missing", wanted] if {
	input.object.open_attribute == "closed"
	some wanted in ["refuse_reason", "legal_basis"]
	not wanted in _stated
}

violations contains ["statement_missing", wanted] if {
	input.object.open_attribute == "conditional"
	some wanted in ["open_mode", "use_requirements", "security_measures"]
	not wanted in _stated
}

# Making data less open needs the authority (CAT-13); the first publication lowers nothing.
violations contains ["downgrade_needs_approval", ""] if {
	input.previous == "unconditional"
	not input.object.open_attribute == "unconditional"
	not input.downgrade_approved == true
}

violations contains ["downgrade_needs_approval", ""] if {
	input.previous == "conditional"
	input.object.open_attribute == "closed"
	not input.downgrade_approved == true
}

_fields := {name: field |
	is_object(input.fields)
	some name, field in input.fields
}

_stated := {name |
	is_array(input.stated)
	some name in input.stated
}

_personal_columns := {name |
	is_object(input.findings)
	some name, kinds in input.findings
	some kind in kinds
	kind in _personal
}
