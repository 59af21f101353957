"""What is selected: about state from every mutated project, and everything else from a few of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MODES = ("eager", "cautious", "buildable", "empty")
#: What `dbt build` and `dbt test` take, said to `dbt ls`.
BUILD = ("model", "seed", "snapshot", "test", "unit_test", "saved_query", "function")
TEST = ("test", "unit_test")


@dataclass(frozen=True)
class Selection:
    """The arguments of one `dbt ls`."""

    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    selector: str | None = None
    indirect_selection: str | None = None
    resource_types: tuple[str, ...] = ()
    exclude_resource_types: tuple[str, ...] = ()


def sel(*select: str, **options: object) -> Selection:
    """A selection by `--select`."""
    return Selection(select, **options)  # type: ignore[arg-type]


def _each(*values: str) -> list[Selection]:
    return [sel(value) for value in values]


QUICK = [
    sel("state:modified"),
    sel("state:modified+", resource_types=BUILD),
]

#: Of every mutation.
STATE = [
    *QUICK,
    *_each("state:modified+", "state:new", "state:unmodified"),
    *(
        sel(f"state:modified.{part}", indirect_selection="empty")
        for part in ("body", "configs", "persisted_descriptions", "relation", "macros", "contract")
    ),
    sel("1+state:modified+1", indirect_selection="cautious"),
    sel("+state:modified", indirect_selection="buildable"),
    sel("state:modified", resource_types=TEST),
    sel("state:modified", resource_types=("all",), indirect_selection="empty"),
    sel("state:modified+", exclude=("state:new",), resource_types=("model",)),
]

#: Of the probed mutations of every project.
ANY = [
    Selection(),
    *_each(
        "*", "state:old", "state:modified.body+", "state:modified.macros+", "@state:modified",
        "state:modified,state:new", "state:modified state:new", "state:unmodified,resource_type:model",
        "+state:modified+", "2+state:modified", "state:modified+2", "0+state:modified", "state:modified+0",
        "state:modified+1,resource_type:test", "state:*", "state:modified.everything", "state:", "state",
        "package:this", "package:*", "resource_type:model", "resource_type:test", "resource_type:unit_test",
        "resource_type:source", "resource_type:exposure", "resource_type:analysis", "resource_type:seed",
        "resource_type:macro", "resource_type:nothing", "resource_type:function", "resource_type:operation",
        "test_type:generic", "test_type:singular", "test_type:unit", "test_type:data", "test_type:schema",
        "test_type:a", "test_type:none", "test_name:unique", "test_name:not_*", "test_name:*",
        "config.materialized:view", "config.materialized:materialized_view", "config.severity:WARN",
        "config.severity:error", "config.enabled:true", "config.enabled:TRUE", "config.enabled:false",
        "config.store_failures:true", "config.persist_docs.relation:true", "config.nothing:x", "config:x",
        "config.tags:core", "config.meta:x", "config.contract.enforced:true", "config.full_refresh:none",
        "config.access:public", "config.group:finance", "config.unique_key:id", "config.severity:",
        "version:latest", "version:old", "version:prerelease", "version:none", "version:2",
        "access:public", "access:private", "access:protected", "access:*", "group:finance", "group:*",
        "group:f?nance",
        "tag:*", "tag:[a-m]*", "tag:", "source:*", "source:*.*", "source:a.b.c.d", "exposure:*", "metric:*",
        "exposure:a.b.c", "metric:a.b.c", "semantic_model:*", "saved_query:*", "unit_test:*",
        "unit_test:a.b.c",
        "saved_query:a.b.c", "semantic_model:a.b.c",
        "models", "models/*", "models/", "models/**/*.sql", "models/*.yml", "path:models", "path:./models",
        "path:tests",
        "path:models/**/schema.yml", "path:seeds/*.csv", "path:vendored", "path:nowhere", "path:.",
        "path:dbt_project.yml",
        "path:../*", "path:models/../seeds",
        "file:*.sql", "file:*.csv", "file:schema.yml", "file:sources", "file:orders", "*.sql",
        "orders.sql", "ORDERS.SQL",
        "Orders.SQL", "result:success", "result:error", "result:fail", "result:skipped", "result:warn",
        "result:pass",
        "result:nothing", "result:error+", "1+result:fail", "source_status:fresher", "source_status:fresher+",
        "source_status:other", "nothing_of_this_name", "this_method:is_none", "@*+", "@", "+", "*+", "",
        " ", ",", "*,",
        "1+2+*", "+1*", "*+1+", "fqn:*", "fqn:+*", "method.with.dots:x", "fqn.ignored:*",
        "tag.ignored:core", "a:b:c",
        "selector:nothing",
        "[!a]*", "*[0-9]", "[", "[]", "a[", "[z-a]*", "tag:[", "tag:[!x]*", "?*", "**", "*.*.*", ".", "..",
        "*.", ".*",
        "path:**", "path:**/*", "path:*", "path:", "path:/", "path:/tmp", "path:models//",
        "path:models/**", "path:MODELS", "path:models/*/*",
        "path:models/?*", "path:[m]odels", "path:models/.", "models/./*.sql", "file:", "file:*",
        "file:.sql", "file:*.*", "file:*.SQL",
        "orders  revenue", "*  *", "*,,*", ",*", "orders, revenue", " orders", "orders ",
        "orders\trevenue", "orders\n", "'orders'",
        "00+*", "01+state:old", "99999+*", "state:old+99999", "-1+*", "++*", "*++", "+@*", "@+*", "1+@*",
        "@@*", "*+x", "+:x", ":x", ":",
        "caf\u00e9:x", "state:Modified", "State:modified", " state:modified", "state: modified",
        "state.modified:x",
        "config.materialized.x:view", "config..materialized:view", "config.:view", "config.meta:",
        "config.tags:[]", "config.enabled:1",
        "config.get:x", "config.quoting.identifier:none", "config.materialized:VIEW", "config.severity:Error",
        "config.materialized:view*", "config.alias:None", "config.freshness.warn_after.count:12",
        "config.loaded_at_field:at",
        "source:", "source:.", "source:*.", "exposure:", "exposure:.", "metric:.", "package:",
        "package:THIS", "package:this*",
        "test_type:generic,test_type:unit", "test_type:", "test_type:singula", "test_type:ular",
        "test_type:dat", "test_type:it", "test_type:generi",
        "version:", "access:", "group:", "result:", "result:Success", "source_status:", "unit_test:",
        "resource_type:", "resource_type:Model",
    ),
    *(sel("state:modified+", "resource_type:seed+1", indirect_selection=mode) for mode in MODES),
    *(sel("state:old,resource_type:model", indirect_selection=mode) for mode in MODES),
    *(sel("config.materialized:view+1,resource_type:model", indirect_selection=mode) for mode in MODES),
    *(
        sel("resource_type:model", exclude=("state:modified", "config.materialized:view"), indirect_selection=mode)
        for mode in MODES
    ),
    *(Selection(exclude=("state:unmodified",), indirect_selection=mode) for mode in MODES),
    sel("state:modified state:new,resource_type:model"),
    sel("*", exclude=("test_type:generic",)),
    sel("*", exclude=("resource_type:test resource_type:source",)),
    sel("*", exclude=("*",)),
    sel("*", exclude=("",)),
    sel("*", resource_types=TEST),
    sel("*", resource_types=BUILD),
    sel("*", resource_types=("all",)),
    sel("*", resource_types=("default",)),
    sel("*", resource_types=("all",), exclude_resource_types=("test", "source")),
    sel("*", exclude_resource_types=("model", "test")),
    sel("*", resource_types=("analysis", "exposure")),
    sel("*", resource_types=("metric", "semantic_model", "saved_query")),
    sel("state:modified", resource_types=("source", "exposure", "analysis")),
    Selection(resource_types=BUILD),
    Selection(selector="no_such_selector"),
]

SHOP = [
    *_each(
        "orders", "orders+", "+orders", "@orders", "1+orders+1", "orders+1", "orders,tag:core",
        "orders+,tag:*",
        "shop.marts.orders", "marts", "marts.*", "shop.*", "marts.o*", "*orders", "*.orders", "st?_orders",
        "shop",
        "shop.marts", "*_snapshot", "[a-o]*", "marts.[or]*", "shop.*.orders", "shop.marts.orders.more",
        "unique*",
        "source:raw", "source:raw.orders", "source:shop.raw.*", "source:raw+", "source:*.cust*",
        "source:r?w.orders+1",
        "source:crm.accounts+", "+exposure:board", "+exposure:*", "exposure:shop.feed", "exposure:b*",
        "tag:core", "tag:staging+", "tag:people", "tag:nightly,tag:core", "tag:external", "tag:landing",
        "tag:keys", "tag:audit",
        "state:modified+,tag:staging", "state:modified,tag:core+", "config.meta.owner:sales",
        "config.meta.level:1",
        "config.meta.tier:gold", "config.cluster:compute", "config.cluster:heavy",
        "config.alias:account_balances",
        "config.schema:marts", "config.indexes:x", "config.grants.select:reader", "config.where:name <> ''",
        "config.check_cols:name", "config.quote_columns:none", "config.column_types.id:bigint",
        "config.strategy:check",
        "path:models/marts", "path:models/marts/orders.sql", "models/staging+",
        "+path:models/serving/report.sql",
        "path:models/serving/*", "path:models/marts/schema.yml", "path:models/s*", "path:snapshots",
        "path:tests/no_negative.sql",
        "path:models/sources.yml", "path:seeds/seeds.yml", "file:orders.sql+", "file:report*",
        "file:no_negative",
        "test_name:in_range", "test_name:relationships", "test_name:same_count+",
        "+test_name:customers_have_ids",
        "resource_type:snapshot+", "+resource_type:exposure", "customers_have_ids", "account_balances",
        "balances",
        "source:raw,state:old", "@source:raw.customers", "@stg_payments", "off", "report_index+3",
        "10+report",
    ),
    *(sel("stg_orders", indirect_selection=mode) for mode in MODES),
    *(sel("stg_orders", "orders", indirect_selection=mode) for mode in MODES),
    *(sel("stg_orders+,revenue+", "regions", indirect_selection=mode) for mode in MODES),
    *(sel("revenue", indirect_selection=mode) for mode in MODES),
    *(sel("orders revenue", exclude=("stg_orders",), indirect_selection=mode) for mode in MODES),
    *(sel("+revenue", exclude=("regions", "test_name:unique"), indirect_selection=mode) for mode in MODES),
    *(sel("source:raw", indirect_selection=mode) for mode in MODES),
    *(sel("stg_payments,stg_*", indirect_selection=mode) for mode in MODES),
    sel("orders", "revenue", exclude=("tag:nightly",)),
    sel("staging marts,tag:core"),
    sel("+report", exclude=("source:raw", "stg_*")),
    sel("test_type:generic", exclude=("orders",)),
    sel("orders", resource_types=("model",)),
    sel("orders", resource_types=TEST),
    sel("stg_customers+", exclude=("orders+",)),
]

MESH = [
    *_each(
        "package:toolkit", "package:toolkit+", "package:extras", "package:mesh", "package:*k*", "toolkit",
        "toolkit.*",
        "extras.extra", "mesh.marts", "dim", "dim.v1", "dim_v1", "dim.v2+", "mesh.marts.dim",
        "mesh.marts.dim.v3",
        "mesh.marts.dim_v3", "dim*", "dim_*", "*v1", "v1", "dim.v*", "marts.dim.v[12]", "+dim_reader",
        "@dim.v1", "calendar",
        "calendar+", "toolkit.calendar", "version:latest,dim", "version:prerelease+", "+version:old",
        "access:public+",
        "access:private,resource_type:model", "group:finance+1", "group:growth", "test_name:is_positive",
        "state:modified+,package:mesh", "state:modified.macros,group:finance", "source:platform",
        "source:toolkit.platform.events+",
        "source:toolkit.*.*", "config.contract.enforced:true+", "config.contract.enforced:false",
        "config.group:growth",
        "config.tags:future", "tag:future", "path:vendored/toolkit",
        "path:vendored/toolkit/models/calendar.sql",
        "path:models/calendar.sql", "path:models/events.sql", "file:calendar.sql", "file:dim_v*",
        "unit_test:dim_unit",
        "unit_test:dim_unit*", "unit_test:mesh.dim_unit", "dim_unit", "dim_unit*", "+unit_test:dim_unit",
        "exposure:mesh_board",
        "+exposure:mesh_board", "on-run-start", "mesh-on-run-start-0", "ledger", "ledger+", "is_positive*",
        "toolkit_is_positive*",
        "config.deprecation_date:x", "config.access:private", "config.post-hook:x", "mesh.staging.*",
        "mesh.staging.accounts+2",
    ),
    *(sel("ledger", "dim", indirect_selection=mode) for mode in MODES),
    *(sel("package:toolkit", indirect_selection=mode) for mode in MODES),
    *(sel("dim.v2", indirect_selection=mode) for mode in MODES),
    sel("+dim_reader", exclude=("version:old",)),
    sel("*", exclude=("package:toolkit", "package:extras")),
]

SEMANTIC = [
    *_each(
        "metric:revenue", "metric:revenue+", "+metric:average", "metric:semantic.*", "metric:*e",
        "metric:double+",
        "semantic_model:sm_orders", "semantic_model:sm_orders+", "+semantic_model:sm_*",
        "semantic_model:semantic.sm_customers",
        "saved_query:weekly", "+saved_query:weekly", "saved_query:semantic.plain", "saved_query:*",
        "exposure:metric_board",
        "+exposure:metric_board", "unit_test:orders_are_priced", "unit_test:*names", "+unit_test:*",
        "test_name:orders_*",
        "orders", "orders+", "sm_orders", "revenue", "weekly", "metric_board", "@orders", "@raw_customers",
        "semantic.*",
        "spine+", "priced", "twice", "function:priced", "resource_type:function+", "tag:money",
        "tag:reporting", "tag:udf",
        "tag:fast", "group:sales", "group:finance", "config.meta.unit:eur", "config.meta.team:sales",
        "config.meta.by:us",
        "path:models/semantic.yml", "path:functions", "path:functions/functions.yml", "file:semantic.yml",
        "file:priced*",
        "state:modified+,resource_type:metric", "state:modified+,resource_type:saved_query", "raw_orders+",
        "raw_orders+2",
        "raw_orders+3", "3+weekly", "orders_are_priced", "test_type:unit,orders+",
        "resource_type:semantic_model",
        "resource_type:metric", "resource_type:saved_query",
    ),
    *(sel("orders", indirect_selection=mode) for mode in MODES),
    *(sel("raw_orders+1", indirect_selection=mode) for mode in MODES),
    sel("raw_orders+", exclude=("metric:revenue+",)),
    sel("+exposure:metric_board", resource_types=("metric", "semantic_model", "model")),
]

SELECTORS = (
    "nightly", "changed", "narrow", "inherited", "around", "by_string", "only_some_tests", "buildable_tests",
    "modified_configs", "nested",
)

WIDE = [
    *(Selection(selector=name) for name in SELECTORS),
    *(Selection(selector=name, indirect_selection="cautious") for name in SELECTORS),
    *(Selection(selector=name, exclude=("m_1_*",)) for name in ("narrow", "changed")),
    Selection(selector="narrow", resource_types=("model",)),
    sel("m_0_0", selector="narrow"),
    Selection(exclude=("m_0_0+",)),
    Selection(resource_types=("model",)),
    *(Selection(indirect_selection=mode) for mode in MODES),
    *_each(
        "m_0_0+", "m_0_0+1", "1+m_2_3", "+m_3_7", "@m_1_4", "2+m_2_0+1", "m_1_?", "m_[12]_*", "layer_1",
        "layer_1.m_*",
        "wide.layer_[0-1].*", "tag:top,tag:nightly", "tag:dev", "tag:prod", "tag:raw+1,tag:middle",
        "m_0_0+,m_0_1+",
        "m_0_0+,m_0_4+,resource_type:model", "config.cluster:compute", "config.cluster:serving",
        "config.meta.flag:true",
        "config.meta.flag:True", "config.meta.nested.deep:yes", "config.meta.list:a",
        "config.meta.environment:dev", "config.meta.level:basic",
        "config.meta.flag:false", "config.meta.environment:prod+1", "source:landing.things+1",
        "source:landing.t*",
        "path:models/layer_*", "path:models/layer_[12]/m_*_3.sql", "models/layer_2/m_2_?.sql+",
        "path:models/layer_0/schema.yml",
        "dotted.name", "wide.special.dotted.name", "special.dotted", "special.*.name", "dotted.name.sql",
        "file:dotted.name",
        "dotted.*", "name", "large", "large+1", "file:large.csv", "config.limit:10",
        "config.severity:warn", "accepted_values*",
        "selector:narrow", "selector:changed", "selector:inherited,tag:middle", "configured+", "tag:vals",
        "state:modified+,layer_2", "state:modified+,tag:top", "state:modified+3,m_3_*",
        "state:modified.configs,tag:middle",
    ),
    *(sel("m_1_1", "m_0_0", indirect_selection=mode) for mode in MODES),
    *(sel("m_1_1+1,m_2_1", "m_1_0", indirect_selection=mode) for mode in MODES),
    *(sel("layer_1", exclude=("m_1_1", "m_1_5"), indirect_selection=mode) for mode in MODES),
    *(sel("m_2_3,layer_2", "m_1_2,tag:middle", indirect_selection=mode) for mode in MODES),
    *(sel("layer_1,m_1_[0-3]", indirect_selection=mode) for mode in MODES),
]

UNRENDERED = [
    *(
        Selection(selector=name)
        for name in ("on_prod", "by_variable", "by_environment", "with_all", "deep", "excluded")
    ),
    *_each(
        "config.meta.environment:dev", "config.meta.environment:prod", "config.cluster:compute",
        "config.cluster:spare",
        "config.alias:base_dev", "config.schema:marts", "config.meta.flavour:plain", "source:feed+",
        "tag:steady",
        "state:modified.configs,config.materialized:view", "state:modified.relation",
        "state:modified.configs+",
        "base+", "config.severity:warn", "page_models", "config.meta.by:reader", "config.meta.from:dev",
        "exposure:page", "+exposure:page",
    ),
]

_OF = {"shop": SHOP, "mesh": MESH, "semantic": SEMANTIC, "wide": WIDE, "unrendered": UNRENDERED}


def of(project: str, *, quick: bool, probed: bool, first: bool) -> Iterator[Selection]:
    """What to select from one mutated project.

    The `first` mutation, which changes nothing, is tried with everything, and other probed ones with all that
    concerns state. The short run takes few of these from the first and none from the others.
    """
    chosen = list(QUICK if quick else STATE)
    special = [*_OF[project], *ANY]
    if first:
        chosen += special[:: 24 if quick else 1]
    elif probed and not quick:
        chosen += [selection for selection in special if _concerns_state(selection)]
    yield from dict.fromkeys(chosen)


def _concerns_state(selection: Selection) -> bool:
    if not selection.select:
        return True
    return any("state:" in value for value in (*selection.select, *selection.exclude))
