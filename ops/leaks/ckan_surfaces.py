"""Every action and every address of CKAN, classified. What is not here fails the matrix until it is.

Actions, one line each: name, class, and what to ask with (``name=value``, or one ``json=`` document; several questions
are set apart by `` | ``, ``-`` asks with nothing). ``{place}`` is an id of the object that is asked about.

``read``    asked by every viewer; only what is told is judged
``write``   changes something of somebody else: refused to every viewer but the department, and nothing is changed
``own``     about the caller's own account: may succeed; only what is told is judged

Addresses, by the endpoints of their blueprint:

``asked``   asked by every viewer with every id that stands in them; only what is told is judged
``form``    likewise, and something is sent to it by everybody but the department, which must change nothing
``apart``   not asked, for the reason that is given
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

ACTION_CLASSES = ("read", "write", "own")
ENDPOINT_CLASSES = ("asked", "form", "apart")

ACTIONS = """
activity_create write user_id={user} object_id={dataset} activity_type=changed
activity_data_show read id={activity} object_type=package
activity_delete write id={activity}
activity_delete_all write confirm=true
activity_delete_counts write start_date=2000-01-01 end_date=2100-01-01
activity_diff read id={activity} object_type=package diff_type=html
activity_show read id={activity} include_data=true | id={activity} | json={"id":"{activity}","include_data":false}
am_following_dataset read id={dataset}
am_following_group read id={org}
am_following_user read id={user}
api_token_create write user={user_name} name=x
api_token_list read user_id={user_name} | user={user}
api_token_revoke write jti={token}
bulk_update_delete write json={"org_id":"{org}","datasets":["{dataset}"]}
bulk_update_private write json={"org_id":"{org}","datasets":["{dataset}"]}
bulk_update_public write json={"org_id":"{org}","datasets":["{dataset}"]}
config_option_list read
config_option_show read key=ckan.site_title | key=solr_password
config_option_update write json={"ckan.site_title":"x"}
current_package_list_with_resources read limit=1000
dashboard_activity_list read limit=100
dashboard_mark_activities_old own
dashboard_new_activities_count read
dataset_followee_count read id={user}
dataset_followee_list read id={user}
dataset_follower_count read id={dataset}
dataset_follower_list read id={dataset}
dataset_purge write id={dataset}
datastore_create write json={"resource_id":"{resource}","force":true,"records":[{"code":"x"}]} | json={"resource":{"package_id":"{dataset}"},"fields":[{"id":"x"}]}
datastore_delete write json={"resource_id":"{resource}","force":true}
datastore_function_create write json={"name":"leak","or_replace":true,"rettype":"trigger","definition":"BEGIN RETURN NEW; END;"}
datastore_function_delete write name=leak
datastore_info read id={resource} | resource_id={resource}
datastore_records_delete write json={"resource_id":"{resource}","force":true,"filters":{}}
datastore_run_triggers write resource_id={resource}
datastore_search read resource_id={resource} | id={resource} | resource_id=_table_metadata limit=1000 | json={"resource_id":"{resource}","q":"zq","records_format":"csv"}
datastore_search_sql read json={"sql":"SELECT * FROM \\"{resource}\\""} | json={"sql":"SELECT * FROM \\"_table_metadata\\""} | json={"sql":"SELECT query_to_xml('SELECT * FROM \\"{resource}\\"', true, true, '')"} | json={"sql":"SELECT * FROM pg_catalog.pg_class"}
datastore_upsert write json={"resource_id":"{resource}","force":true,"method":"insert","records":[{"code":"x"}]}
file_create own json={"name":"x.csv","upload":"x"}
file_delete write id={file}
file_owner_scan read owner_type=resource owner_id={resource} | owner_type=package owner_id={dataset} | owner_type=user owner_id={user}
file_ownership_transfer write id={file} owner_type=user owner_id={me}
file_pin write id={file}
file_register write location={location} storage=resources name=x
file_rename write id={file} name=x.csv
file_show read id={file}
file_unpin write id={file}
follow_dataset own id={dataset}
follow_group own id={org}
follow_user own id={user}
followee_count read id={user}
followee_list read id={user}
format_autocomplete read q=zq limit=1000
get_site_user read
govopen_identity_show read
govopen_outbox_drain write
govopen_outbox_show read
govopen_rating_create own json={"id":"{dataset}","stars":5}
govopen_rating_delete own id={dataset}
govopen_rating_show read id={dataset}
group_activity_list read id={group} include_data=true
group_autocomplete read q=zq
group_create write name=leak-group
group_delete write id={group}
group_followee_count read id={user}
group_followee_list read id={user}
group_follower_count read id={group}
group_follower_list read id={group}
group_list read json={"all_fields":true,"include_dataset_count":true,"include_extras":true,"include_tags":true,"include_groups":true,"include_users":true}
group_list_authz read
group_member_create write id={group} username={me_name} role=admin
group_member_delete write id={group} username={user_name}
group_package_show read json={"id":"{group}","limit":1000}
group_patch write id={group} title=x
group_purge write id={group}
group_show read json={"id":"{group}","include_datasets":true,"include_users":true,"include_followers":true} | json={"id":"{group}","include_datasets":true}
group_update write id={group} name={group_name} title=x
help_show read name=package_show
job_cancel write id={job}
job_clear write
job_list read
job_show read id={job}
license_list read
member_create write id={org} object={me} object_type=user capacity=admin
member_delete write id={org} object={user} object_type=user
member_list read id={org} | id={org} object_type=package | id={org} object_type=user | id={group}
member_roles_list read
organization_activity_list read id={org} include_data=true | id={org}
organization_autocomplete read q=zq
organization_create write name=leak-org title=x
organization_delete write id={org}
organization_followee_count read id={user}
organization_followee_list read id={user}
organization_follower_count read id={org}
organization_follower_list read id={org}
organization_list read json={"all_fields":true,"include_dataset_count":true,"include_extras":true,"include_tags":true,"include_users":true} | json={"all_fields":true,"include_extras":true}
organization_list_for_user read id={user} | permission=read
organization_member_create write id={org} username={me_name} role=admin
organization_member_delete write id={org} username={user_name}
organization_patch write id={org} title=x
organization_purge write id={org}
organization_show read json={"id":"{org}","include_datasets":true,"include_users":true,"include_followers":true} | json={"id":"{org}","include_datasets":true,"include_extras":true}
organization_update write id={org} name={org_name} title=x
package_activity_list read id={dataset} include_data=true limit=100 | id={dataset} limit=100
package_autocomplete read q=zq limit=1000
package_collaborator_create write id={dataset} user_id={me} capacity=editor
package_collaborator_delete write id={dataset} user_id={user}
package_collaborator_list read id={dataset}
package_collaborator_list_for_user read id={user}
package_create write json={"name":"leak-dataset","title":"x","notes":"x","owner_org":"{org}"}
package_create_default_resource_views write json={"package":{"id":"{dataset}","resources":[]}}
package_delete write id={dataset}
package_list read
package_owner_org_update write id={dataset} organization_id={my_org}
package_patch write id={dataset} title=x
package_relationship_create write subject={dataset} object={other} type=depends_on
package_relationship_delete write subject={dataset} object={other} type=depends_on
package_relationship_update write subject={dataset} object={other} type=depends_on comment=x
package_relationships_list read id={dataset}
package_resource_reorder write json={"id":"{dataset}","order":["{resource}"]}
package_revise write json={"match":{"id":"{dataset}"},"update":{"title":"x"}}
package_search read json={"q":"*:*","rows":1000} | json={"q":"*:*","rows":1000,"include_private":true,"include_drafts":true,"include_deleted":true} | json={"rows":1000,"fl":"*,id,data_dict,validated_data_dict,res_url,res_name,extras_items,notes"} | json={"rows":0,"facet":"true","facet.limit":-1,"facet.mincount":0,"facet.field":["res_url","res_name","res_format","title_string","name","notes","text","tags","extras_items","creator_user_id","permission_labels"]} | json={"q":"*:*","fq":"+state:(active OR draft OR deleted) +capacity:(public OR private)","rows":1000} | json={"q":"*:*","fq_list":["state:draft"],"rows":1000,"include_drafts":true}
package_show read id={dataset} | id={name} include_plugin_data=true use_default_schema=true
package_update write id={dataset} name={name} title=x
recently_changed_packages_activity_list read limit=100
resource_create write package_id={dataset} name=x url=http://x.example/x
resource_create_default_resource_views write json={"resource":{"id":"{resource}","package_id":"{dataset}"}}
resource_delete write id={resource}
resource_patch write id={resource} name=x
resource_search read query=url:zq | query=hash:zq | query=name:zq | query=description:zq | query=name:文件 | query=format:zq
resource_show read id={resource}
resource_update write id={resource} name=x url=http://x.example/x
resource_view_clear write json={"view_types":["datatables_view"]}
resource_view_create write resource_id={resource} title=x view_type=datatables_view
resource_view_delete write id={view}
resource_view_list read id={resource}
resource_view_reorder write json={"id":"{resource}","order":["{view}"]}
resource_view_show read id={view}
resource_view_update write id={view} title=x view_type=datatables_view resource_id={resource}
send_email_notifications write
status_show read
tag_autocomplete read q=zq limit=1000
tag_create write name=leak-tag vocabulary_id={vocabulary}
tag_delete write id={tag}
tag_list read - | json={"all_fields":true} | query=zq
tag_search read query=zq
tag_show read json={"id":"{tag}","include_datasets":true}
task_status_delete write id={task}
task_status_show read id={task} | entity_id={resource} task_type=leak key=leak
task_status_update write entity_id={resource} entity_type=resource task_type=leak key=leak value=x
task_status_update_many write json={"data":[{"entity_id":"{resource}","entity_type":"resource","task_type":"leak","key":"leak","value":"x"}]}
term_translation_show read terms=x
term_translation_update write term=x term_translation=y lang_code=en
term_translation_update_many write json={"data":[{"term":"x","term_translation":"y","lang_code":"en"}]}
unfollow_dataset own id={dataset}
unfollow_group own id={org}
unfollow_user own id={user}
user_activity_list read id={user} include_data=true | id={user}
user_autocomplete read q=zq limit=1000 | q=zq id=x ignore_self=true
user_create write name=leak-user email=leak@govopen.example password=leak-password-1
user_delete write id={user}
user_followee_count read id={user}
user_followee_list read id={user}
user_follower_count read id={user}
user_follower_list read id={user}
user_invite write email=leak@govopen.example group_id={org} role=admin
user_list read json={"all_fields":true} | json={"q":"zq","all_fields":true,"include_site_user":true} | email={email}
user_patch write id={user} fullname=x
user_show read id={user} include_datasets=true include_num_followers=true include_password_hash=true include_plugin_extras=true | id={user_name}
user_update write id={user} name={user_name} email=x@govopen.example fullname=x
vocabulary_create write json={"name":"leak-vocabulary","tags":[]}
vocabulary_delete write id={vocabulary}
vocabulary_list read
vocabulary_show read id={vocabulary}
vocabulary_update write json={"id":"{vocabulary}","name":"leak","tags":[]}
"""  # noqa: E501 - a question stands on the line of its action

ENDPOINTS = """
activity asked dashboard group_activity group_changes group_changes_multiple organization_activity
activity asked organization_changes organization_changes_multiple package_activity package_changes user_activity
activity asked package_changes_multiple package_history resource_history
activity form admin_activities
activity apart dashboard_testing: answers only while tests are run
admin form config index reset_config trash
api apart action: the matrix of actions
api asked dataset_autocomplete format_autocomplete get_api group_autocomplete i18n_js_translations
api asked organization_autocomplete tag_autocomplete user_autocomplete
dashboard asked datasets groups organizations
dataset asked followers read resources search
dataset form delete edit follow groups new unfollow
dataset_resource asked download read view views
dataset_resource form delete edit edit_view new
datastore asked api_info dump
datastore form dictionary
datatablesview form ajax filtered_download
feeds asked custom general group organization tag
file asked download public_download trusted_download
govopen_apply asked edit show
govopen_apply form change send
govopen_catalogue asked dataset department departments history resource search
govopen_department asked data listing
govopen_department form load
govopen_loading form load
govopen_my asked home listed
govopen_my_applications asked agreement agreement_text show
govopen_my_applications form act
govopen_my_exports asked live show
govopen_my_exports form act
govopen_my_grants asked show
govopen_my_grants form act
govopen_my_invoices asked show usage
govopen_my_invoices form pay
govopen_my_organisation asked show
govopen_my_organisation form act
govopen_my_registrations asked edit new objection show
govopen_my_registrations form act change create raise_objection
govopen_my_webhooks asked deliveries show
govopen_my_webhooks form act again
govopen_my_usage asked line line_file show
govopen_my_usage apart live: a stream without an end, asked in its own test
govopen_pages asked catalogue developers home mode script_texts
govopen_rating form rate
govopen_registry asked certificate notices registrations verify
govopen_registry form verify_file
govopen_staff asked queue
govopen_staff_applications asked show
govopen_staff_applications form decide
govopen_staff_billing asked billing invoice payments
govopen_staff_billing form close pay record
govopen_staff_people asked parties party roles
govopen_staff_people form assign end verify_party
govopen_staff_policies asked new policies show
govopen_staff_policies form decide propose
govopen_staff_prices asked price
govopen_staff_prices form act
govopen_staff_registrations asked listing show
govopen_staff_registrations form step
govopen_staff_settlements asked ledger rules settlement settlements statement
govopen_staff_settlements form act decide_rule propose_rule run
govopen_staff_tariffs asked ceilings rate_cards
govopen_staff_tariffs form decide_ceiling decide_rate_card propose_ceiling propose_rate_card
govopen_suggest asked suggest
govopen_why asked grant listed readers show why
group asked about followers index member_dump members read
group form admins bulk_process delete edit follow manage_members member_delete member_new new unfollow
home asked about index robots_txt
home apart redirect_locale: sends on to the same page without the language
organization asked about followers index member_dump members read
organization form admins bulk_process delete edit follow manage_members member_delete member_new new unfollow
resource asked download read view views
resource form delete edit edit_view new
static apart static: files of the themes
user asked followers index logged_out_page me read read_groups read_organizations
user form api_tokens api_tokens_revoke delete edit follow perform_reset request_reset sysadmin unfollow
user apart login: opens a session for whoever knows the password; logout: ends the caller's own session
user apart register: makes an account of the caller's own
util asked custom_form_fields internal_redirect primer
webassets apart index: files of the themes
"""


@dataclass(frozen=True)
class Action:
    """One action and how the matrix asks it."""

    name: str
    kind: str
    asked: tuple[str, ...]

    def documents(self, places: dict[str, str]) -> list[dict[str, Any]]:
        """What it is asked with about one object."""
        found = []
        for one in self.asked:
            for name, value in places.items():
                one = one.replace(f"{{{name}}}", value)
            if one.startswith("json="):
                found.append(json.loads(one.removeprefix("json=")))
            else:
                found.append(dict(pair.split("=", 1) for pair in one.split() if pair != "-"))
        return found

    @property
    def places(self) -> frozenset[str]:
        return frozenset(place for place in PLACES if any(f"{{{place}}}" in one for one in self.asked))


PLACES = (
    "dataset", "name", "resource", "view", "file", "location", "activity", "task", "other", "tag",
    "org", "org_name", "group", "group_name", "user", "user_name", "email", "token", "job", "vocabulary",
    "me", "me_name", "my_org",
)  # fmt: skip
OF_DATASETS = frozenset(PLACES[:10])
"""Places that differ from dataset to dataset, so that each open attribute is a cell of its own."""


def actions() -> dict[str, Action]:
    """The classified actions by name."""
    made: dict[str, Action] = {}
    for line in ACTIONS.strip().splitlines():
        name, kind, *asked = line.split(" ", 2)
        if kind not in ACTION_CLASSES or name in made:
            raise ValueError(f"no such class, or twice: {line}")
        made[name] = Action(name, kind, tuple(asked[0].split(" | ")) if asked else ("-",))
    return made


def endpoints() -> dict[str, str]:
    """The classified endpoints: name to class."""
    made: dict[str, str] = {}
    for line in ENDPOINTS.strip().splitlines():
        blueprint, kind, rest = line.split(" ", 2)
        if kind not in ENDPOINT_CLASSES:
            raise ValueError(f"no such class: {line}")
        names = [one.partition(":")[0].strip() for one in rest.split(";")] if kind == "apart" else rest.split()
        for name in names:
            endpoint = name if name == blueprint else f"{blueprint}.{name}"
            if endpoint in made:
                raise ValueError(f"twice: {endpoint}")
            made[endpoint] = kind
    return made
