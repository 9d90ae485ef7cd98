"""What is found, in which order, with which counts, by whom."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.search.errors import SearchFault
from ops.search.testing import CKAN_DISMAX, Catalogue, dataset

LABELS = '+permission_labels:("public" OR "member-1")'


@pytest.fixture(scope="module")
def city(catalogue: Catalogue) -> Catalogue:
    catalogue.add(
        dataset(
            "air", title="城市环境空气质量日报", notes="深圳市各监测站点的小时均值",
            tags=["空气", "环境"], groups=["eco"],
            organization="ecology", res_format=["CSV", "JSON"], metadata_modified="2026-03-01T00:00:00.123Z",
            views_total=7, extras_region="深圳 南山区", owner_org="o-1",
        ),
        dataset(
            "divisions", title="全国行政区划村级", notes="Administrative divisions of all villages", tags=["区划"],
            groups=["gov", "eco"], organization="civil", res_format=["CSV"], views_total=30, owner_org="o-2",
            metadata_modified="2026-02-01T00:00:00Z", issued_date="2024-05-05T00:00:00Z",
        ),
        dataset(
            "rivers", title="Rivers and lakes of the city", notes="Water levels, measured every hour",
            tags=["Water"], author="Zhang San", organization="water", metadata_modified="2026-02-01T00:00:00Z",
            owner_org="o-1", url="http://example.org/rivers", res_name=["Level Gauges"],
        ),
        dataset(
            "hidden", title="空气质量内部数据", tags=["空气"], permission_labels=["member-9"], organization="ecology",
            capacity="private", owner_org="o-9", metadata_modified="2026-04-01T00:00:00Z",
        ),
        dataset("draft", title="草稿", state="draft", permission_labels=["creator-1"], title_string="A draft"),
    )
    return catalogue


@pytest.mark.parametrize(("query", "names"), [
    ("空气质量", {"air", "hidden"}),
    ("城市空气质量", {"air"}),
    ("行政区划", {"divisions"}),
    ("村级", {"divisions"}),
    ("区划 villages", {"divisions"}),
    ("境空", {"air"}),
    ('"境空"', {"air"}),
    ("南山", {"air"}),
    ("river", {"rivers"}),
    ("RIVERS lake", {"rivers"}),
    ('"water levels"', {"rivers"}),
    ('"levels water"', set()),
    ('"water hour"~4', {"rivers"}),
    ("tags:空气", {"air", "hidden"}),
    ("tags:空", set()),
    ("tags:Water", {"rivers"}),
    ("tags:water", set()),
    ("res_format:CSV", {"air", "divisions"}),
    ("extras_region:南山区", {"air"}),
    ("author:zhang", {"rivers"}),
    ("res_name:gauges", {"rivers"}),
    ("res_name:gauge", set()),
    ("urls:example", {"rivers"}),
    ("name:r*", {"rivers"}),
    ("name:*i?ers", {"rivers"}),
    ("title:riv*", {"rivers"}),
    ("title:行政*", {"divisions"}),
    ("title:rovers~1", set()),
    ("title:rivr~1", {"rivers"}),
    ("name:ryvers~1", {"rivers"}),
    ("issued_date:*", {"divisions"}),
    ("issued_date:[2024-05-01T00:00:00Z TO 2024-06-01T00:00:00Z]", {"divisions"}),
    ("issued_date:[2024-05-05T00:00:00Z TO *}", {"divisions"}),
    ("issued_date:{2024-05-05T00:00:00Z TO *}", set()),
    ('metadata_modified:"2026-03-01T00:00:00.123Z"', {"air"}),
    ("metadata_modified:[NOW-9MONTHS TO NOW]", {"air", "hidden"}),
    ("metadata_modified:{* TO 2026-02-01T00:00:00Z}", {"draft"}),
    ("views_total:[7 TO 29]", {"air"}),
    ("views_total:{7 TO 30]", {"divisions"}),
    ("views_total:30", {"divisions"}),
    ("owner_org:[o-1 TO o-2}", {"air", "rivers"}),
    ("name:[d TO e]", {"divisions", "draft"}),
    ("-tags:*", {"draft"}),
    ("title:(rivers OR 空气质量) -name:hidden", {"air", "rivers"}),
    ("tags:空气 OR (groups:gov AND res_format:CSV)", {"air", "hidden", "divisions"}),
    ("groups:(eco AND gov)", {"divisions"}), ("groups:(eco gov) AND groups:gov", {"divisions"}),
    ("groups:(gov none)", {"divisions"}), ("title:(空气 none)", set()),
    ("title_ngram:rive OR name_ngram:divis", {"rivers", "divisions"}),
    ('title_ngram:"空气"', {"air", "hidden"}),
    ("unknown_field:x", set()),
    ("data_dict:x", set()),
    ("state:draft", {"draft"}),
    ("{!term f=tags}空气", {"air", "hidden"}),
    ("{!bool must=river must_not=tags:x}", {"rivers"}),
])
def test_lucene_queries(city: Catalogue, query: str, names: set[str]) -> None:
    assert set(city.names(query)) == names


@pytest.mark.parametrize(("query", "names"), [
    ("空气质量", ["air"]),
    ("环境 空气质量", ["air"]),
    ("深圳市空气质量日报", ["air"]),
    ("rivers", ["rivers"]),
    ("divisions", ["divisions"]),
    ("river -lakes", []),
    ("administrative villages missing", ["divisions"]),
    ("administrative missing", []),
    ('"rivers and lakes"', ["rivers"]),
    ("a:b(c", []),
])
def test_what_people_type(city: Catalogue, query: str, names: list[str]) -> None:
    assert city.typed(query, fq=LABELS) == names


def test_edismax_with_fields_phrases_and_boosts(city: Catalogue) -> None:
    shape = {"defType": "edismax", "qf": "title^4 text", "mm": "1", "q.op": "OR"}
    assert set(city.names("tags:空气 OR river", **shape)) == {"air", "hidden", "rivers"}
    ranked = city.names("空气质量 rivers", **{**shape, "bq": "name:rivers^50"})
    assert ranked[0] == "rivers"
    assert city.names("city lakes", **{**shape, "pf": "title^9", "ps": "5"}) == ["rivers"]
    assert set(city.names("*:*", **shape)) == {"air", "divisions", "rivers", "hidden", "draft"}


def test_filters_labels_and_counts_go_together(city: Catalogue) -> None:
    answer = city.answer("空气", fq=["+state:active", LABELS], facet="true", facet__field=["tags", "organization"],
                         facet__mincount="1")
    assert answer["response"]["numFound"] == 1
    assert answer["facet_counts"]["facet_fields"] == {"tags": ["环境", 1, "空气", 1], "organization": ["ecology", 1]}


def test_facets_sort_by_count_then_value_and_obey_their_options(city: Catalogue) -> None:
    assert city.facet("groups") == ["eco", 2, "gov", 1]
    assert city.facet("res_format", **{"facet.limit": "1"}) == ["CSV", 2]
    assert city.facet("organization", **{"facet.limit": "-1", "facet.sort": "index"}) == [
        "civil", 1, "ecology", 2, "water", 1]
    assert city.facet("organization", "tags:空气", **{"facet.mincount": "0", "facet.limit": "-1"}) == [
        "civil", 0, "ecology", 2, "water", 0]
    assert city.facet("tags", **{"facet.prefix": "空"}) == ["空气", 2]
    assert city.facet("owner_org", **{"facet.offset": "1", "facet.limit": "1"}) == ["o-2", 1]
    assert city.facet("nothing") == []
    assert city.facet("views_total") == ["30", 1, "7", 1]


def test_values_that_occur_nowhere_are_told_only_of_what_the_filters_let_through(city: Catalogue) -> None:
    answer = city.answer("*:*", fq=[LABELS], facet="true", facet__field=["name", "text", "permission_labels"],
                         facet__mincount="0", facet__limit="-1", rows="0")
    assert "hidden" not in str(answer["facet_counts"]["facet_fields"])


@pytest.mark.parametrize(("sort", "names"), [
    ("metadata_modified desc, name asc", ["hidden", "air", "divisions", "rivers", "draft"]),
    ("metadata_modified desc, name desc", ["hidden", "air", "rivers", "divisions", "draft"]),
    ("score desc, metadata_modified asc, name asc", ["draft", "divisions", "rivers", "air", "hidden"]),
    ("name asc", ["air", "divisions", "draft", "hidden", "rivers"]),
    ("title_string asc", ["draft", "rivers", "divisions", "air", "hidden"]),
    ("views_total desc, name asc", ["divisions", "air", "draft", "hidden", "rivers"]),
    ("owner_org asc, metadata_modified asc", ["rivers", "air", "divisions", "hidden", "draft"]),
    ("owner_org desc, name desc", ["hidden", "divisions", "rivers", "air", "draft"]),
    ("view_recent desc", ["air", "divisions", "rivers", "hidden", "draft"]),
    ("metadata_created desc", ["air", "divisions", "rivers", "hidden", "draft"]),
])
def test_sorting_by_several_keys(city: Catalogue, sort: str, names: list[str]) -> None:
    assert city.names("*:*", sort=sort) == names
    paged = [name for start in range(5) for name in city.names("*:*", sort=sort, start=str(start), rows="1")]
    assert paged == names


def test_pages_of_a_scored_query_meet_without_gap(city: Catalogue) -> None:
    for sort in ("score desc, name asc", "score desc", "score asc, name desc"):
        whole = city.names("空气 OR name:*", sort=sort)
        assert len(whole) == 5
        paged = [n for start in range(5) for n in city.names("空气 OR name:*", sort=sort, start=str(start), rows="1")]
        assert paged == whole


@pytest.mark.parametrize(("sort", "words"), [
    ("gvgyr_fgevat nfp", "Can't determine a Sort Order"),
    ("name", "Missing sort order"),
    ("name up", "Can't determine a Sort Order"),
    ("tags asc", "multivalued"),
    ("notes asc", "can not sort"),
    ("sum(a) desc", "could not be parsed"),
])
def test_sort_errors_are_solrs(city: Catalogue, sort: str, words: str) -> None:
    with pytest.raises(SearchFault, match=words):
        city.names(sort=sort)


@pytest.mark.parametrize("parameters", [
    {"bf": "views_total"}, {"defType": "dismax", "boost": "recip(x)"}, {"uf": "title"},
    {"group": "true"}, {"json.facet": "{}"}, {"wt": "xml"},
    {"defType": "func"}, {"facet": "true", "facet.field": "{!ex=x}tags"}, {"fl": "sum(a)"}, {"cursorMark": "*"},
    {"q.op": "XOR"}, {"rows": "-1"}, {"rows": "ten"}, {"start": "-1"}, {"fq": "{!frange l=1}x"}, {"fq": "a AND"},
    {"defType": "dismax", "qf": "title^x"}, {"defType": "dismax", "qf": "title", "mm": "x"},
    {"fq": "metadata_modified:[yesterday TO *]"}, {"fq": "views_total:many"},
    {"facet": "true", "facet.field": "tags", "facet.limit": "many"},
    {"facet": "true", "facet.field": "tags", "facet.limit": "9" * 40},
    {"facet": "true", "facet.field": "title_ngram"},
])
def test_what_is_not_spoken_is_refused(city: Catalogue, parameters: dict[str, str]) -> None:
    with pytest.raises(SearchFault):
        city.answer("a b", **parameters)


def test_fields_of_an_answer(city: Catalogue) -> None:
    [everything] = city.answer("name:air", fl="*")["response"]["docs"]
    assert everything["tags"] == ["空气", "环境"]
    assert everything["metadata_modified"] == "2026-03-01T00:00:00.123Z"
    assert everything["extras_region"] == "深圳 南山区"
    assert everything["data_dict"] == '{"name": "air"}'
    assert "permission_labels" not in everything
    assert "owner_org" not in everything
    assert "text" not in everything
    assert city.answer("name:air", fl="name,id")["response"]["docs"] == [{"name": "air", "id": "id-air"}]
    [scored] = city.answer("name:air", fl="id score", sort="name asc")["response"]["docs"]
    assert scored["score"] > 0
    assert list(city.answer("name:air", fl="extras_*")["response"]["docs"][0]) == ["extras_region"]


def test_an_update_replaces_and_a_delete_removes(city: Catalogue) -> None:
    city.add(dataset("changing", title="before"))
    city.add(dataset("changing", title="after"))
    assert city.names("title:after") == ["changing"]
    assert city.names("title:before") == []
    city.add(dataset("changing", title="unseen"), commit=False)
    assert city.names("title:unseen") == []
    city.engine.submit([], commit=True).result(10)
    assert city.names("title:unseen") == ["changing"]


WORDS = st.sampled_from([
    "*:*", "hidden", "空气质量", "*", "permission_labels:*", 'permission_labels:"member-9"', " OR ", " AND ", " NOT ",
    "-", "+", "(", ")", '"', ":", "[", "]", "{", "}", " TO ", "~", "^", "\\", "?", "capacity:private", "/",
    "{!bool should=hidden}", "{!term f=name}hidden", "\x1f", "\x03", "\x00", "name:", "title:", "a", "&&", "||", "1",
])


@given(
    st.one_of(st.lists(WORDS, max_size=12).map("".join), st.text(max_size=30)),
    st.sampled_from(["lucene", "dismax", "edismax"]),
)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_text_reaches_past_the_labels(city: Catalogue, text: str, parser: str) -> None:
    parameters = {**CKAN_DISMAX, "defType": parser, "fq": [text, "+state:active", LABELS], "facet": "true",
                  "facet.field": "organization", "facet.mincount": "1", "fl": "name", "rows": "50"}
    for fq in ([text, LABELS], [LABELS, text], [LABELS]):
        try:
            answer = city.answer(text, **{**parameters, "fq": fq})
        except SearchFault:
            continue
        assert not {document["name"] for document in answer["response"]["docs"]} & {"hidden", "draft"}
        assert answer["response"]["numFound"] <= 4
        assert sum(answer["facet_counts"]["facet_fields"]["organization"][1::2]) <= 3
