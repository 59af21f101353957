"""What is not a relation: metrics and their kin, unit tests, functions."""

from __future__ import annotations

from edits import Mutation, age, append, forget, move, mutation, sub, write

SEM = "models/semantic.yml"

SEMANTIC: list[Mutation] = [
    mutation("nothing", quick=True, probed=True),
    mutation("state_of_older_dbt", state=age),
    mutation(
        "state_without_semantics",
        state=forget("metrics", "semantic_models", "saved_queries", "functions"),
    ),
    mutation("model_body", sub("models/orders.sql", "customer_id", "customer_id as customer_id")),
    mutation("macro", sub("macros/factor.sql", "1", "2")),
    mutation("seed", append("seeds/raw_orders.csv", "2,1,2020-01-02,5,open\n")),
    mutation("semantic_description", sub(SEM, "Orders, for metrics", "Orders")),
    mutation(
        "semantic_label",
        sub(SEM, "    label: Orders\n    description", "    label: All orders\n    description"),
    ),
    mutation(
        "semantic_defaults",
        sub(SEM, "    defaults: {agg_time_dimension: at}\n", ""),
        sub(SEM, "expr: amount,", "expr: amount, agg_time_dimension: at,"),
        sub(
            SEM,
            "expr: id}\n  - name: sm_customers",
            "expr: id, agg_time_dimension: at}\n  - name: sm_customers",
        ),
    ),
    mutation("semantic_meta", sub(SEM, "team: sales", "team: money")),
    mutation(
        "semantic_group",
        sub(SEM, "config: {meta: {team: sales}}", "config: {meta: {team: sales}, group: sales}"),
    ),
    mutation("semantic_entity", sub(SEM, "expr: customer_id", "expr: customer_id + 0")),
    mutation(
        "semantic_entity_new",
        sub(
            SEM,
            "    dimensions:\n",
            "      - {name: region, type: foreign, expr: region_id}\n    dimensions:\n",
        ),
    ),
    mutation("semantic_dimension", sub(SEM, "time_granularity: day", "time_granularity: week")),
    mutation(
        "semantic_dimension_new",
        sub(
            SEM,
            "      - {name: status, type: categorical}\n",
            "      - {name: status, type: categorical}\n      - {name: kind, type: categorical}\n",
        ),
    ),
    mutation(
        "semantic_dimension_expr",
        sub(
            SEM,
            "{name: status, type: categorical}",
            "{name: status, type: categorical, expr: lower(status)}",
        ),
    ),
    mutation(
        "semantic_dimensions_reordered",
        sub(
            SEM,
            "      - {name: at, type: time, type_params: {time_granularity: day}}\n"
            "      - {name: status, type: categorical}\n",
            "      - {name: status, type: categorical}\n"
            "      - {name: at, type: time, type_params: {time_granularity: day}}\n",
        ),
    ),
    mutation("semantic_measure", sub(SEM, "agg: sum", "agg: max"), quick=True),
    mutation("semantic_measure_description", sub(SEM, "description: Money", "description: Cash")),
    mutation(
        "semantic_measure_new",
        sub(
            SEM,
            "      - {name: orders_count",
            "      - {name: least, agg: min, expr: amount}\n      - {name: orders_count",
        ),
    ),
    mutation("semantic_model_of", sub(SEM, "    model: ref('customers')", "    model: ref('raw_customers')")),
    mutation(
        "semantic_new",
        sub(
            SEM,
            "metrics:\n  - name: revenue\n",
            "  - name: sm_fresh\n"
            "    model: ref('raw_customers')\n"
            "    entities: [{name: raw, type: primary, expr: id}]\n"
            "metrics:\n"
            "  - name: revenue\n",
        ),
    ),
    mutation(
        "semantic_disabled",
        sub(SEM, "  - name: sm_customers\n", "  - name: sm_customers\n    config: {enabled: false}\n"),
    ),
    mutation(
        "primary_entity",
        sub(
            SEM,
            "entities: [{name: customer, type: primary, expr: id}]",
            "primary_entity: customer\n    entities: [{name: cust, type: unique, expr: id}]",
        ),
    ),
    mutation("metric_description", sub(SEM, "All the money", "Some money"), quick=True),
    mutation("metric_label", sub(SEM, "label: Average order", "label: Mean order")),
    mutation("metric_filter", sub(SEM, "= 'open'\"\n  - name: average", "= 'done'\"\n  - name: average")),
    mutation(
        "metric_measure",
        sub(SEM, "type_params: {measure: total}", "type_params: {measure: orders_count}"),
    ),
    mutation(
        "metric_type",
        sub(
            SEM,
            "type: ratio\n    type_params: {numerator: revenue, denominator: order_count}",
            "type: derived\n    type_params: {expr: revenue / order_count, metrics: [revenue, order_count]}",
        ),
    ),
    mutation("metric_expr", sub(SEM, "base * 2", "base + base")),
    mutation("metric_meta", sub(SEM, "unit: eur", "unit: usd")),
    mutation("metric_tags", sub(SEM, "tags: [money]", "tags: [cash]")),
    mutation("metric_group", sub(SEM, "config: {group: sales}", "config: {group: finance}")),
    mutation("metric_group_of_project", sub("dbt_project.yml", "+group: finance", "+group: sales")),
    mutation(
        "metric_new",
        sub(
            SEM,
            "saved_queries:",
            "  - name: fresh\n"
            "    label: Fresh\n"
            "    type: simple\n"
            "    type_params: {measure: total}\n"
            "saved_queries:",
        ),
    ),
    mutation("metric_disabled", sub(SEM, "config: {group: sales}", "config: {enabled: false}")),
    mutation(
        "metric_granularity",
        sub(SEM, "label: Average order", "label: Average order\n    time_granularity: month"),
    ),
    mutation("query_label", sub(SEM, "label: Weekly", "label: Every week")),
    mutation("query_description", sub(SEM, "description: Each week", "description: Week")),
    mutation("query_metrics", sub(SEM, "[revenue, average]", "[revenue]")),
    mutation("query_metrics_reordered", sub(SEM, "[revenue, average]", "[average, revenue]")),
    mutation("query_group_by", sub(SEM, "'week'", "'month'")),
    mutation("query_where", sub(SEM, "= 'open'\"]", "= 'done'\"]")),
    mutation("query_where_gone", sub(SEM, "      where: [\"{{ Dimension('id__status') }} = 'open'\"]\n", "")),
    mutation(
        "query_limit",
        sub(SEM, "      group_by", "      limit: 5\n      order_by: [\"Metric('revenue')\"]\n      group_by"),
    ),
    mutation("query_cache", sub(SEM, "cache: {enabled: true}", "cache: {enabled: false}")),
    mutation("query_export_schema", sub(SEM, "schema: exports", "schema: exported")),
    mutation("query_export_alias", sub(SEM, "alias: weekly_export", "alias: weekly_exported")),
    mutation("query_export_type", sub(SEM, "export_as: table", "export_as: view")),
    mutation("query_export_name", sub(SEM, "name: weekly_export\n", "name: weekly_out\n")),
    mutation(
        "query_export_new",
        sub(SEM, "    exports:\n", "    exports:\n      - {name: more, config: {export_as: view}}\n"),
    ),
    mutation(
        "query_exports_reordered",
        sub(SEM, "      - {name: other_export, config: {export_as: view}}\n", ""),
        sub(SEM, "    exports:\n", "    exports:\n      - {name: other_export, config: {export_as: view}}\n"),
    ),
    mutation("query_export_gone", sub(SEM, "      - {name: other_export, config: {export_as: view}}\n", "")),
    mutation("query_tags", sub("dbt_project.yml", "[reporting]", "[reports]")),
    mutation(
        "query_new",
        append(SEM, ""),
        sub(SEM, "exposures:", "  - name: fresh_query\n    query_params: {metrics: [average]}\nexposures:"),
    ),
    mutation("exposure_of_metric", sub(SEM, "metric('revenue'), ref", "metric('average'), ref")),
    mutation("exposure_owner", sub(SEM, "owner: {name: Ops}", "owner: {name: Ops, email: ops@example.com}")),
    mutation(
        "unit_test_rows",
        sub("models/schema.yml", "amount: 10, status", "amount: 20, status"),
        quick=True,
    ),
    mutation("unit_test_description", sub("models/schema.yml", "Prices are right", "Prices")),
    mutation("unit_test_tags", sub("models/schema.yml", "tags: [fast]", "tags: [slow]")),
    mutation("unit_test_meta", sub("models/schema.yml", "by: us", "by: them")),
    mutation("unit_test_fixture", append("tests/fixtures/customers_fixture.csv", "2,bob\n")),
    mutation(
        "unit_test_new",
        sub(
            "models/schema.yml",
            "  - name: customers_keep_names",
            "  - name: fresh_unit\n"
            "    model: customers\n"
            "    given: [{input: ref('raw_customers'), rows: []}]\n"
            "    expect: {rows: []}\n"
            "  - name: customers_keep_names",
        ),
    ),
    mutation(
        "unit_test_overrides",
        sub(
            "models/schema.yml",
            "    config: {tags: [fast]",
            "    overrides: {macros: {factor: 3}}\n    config: {tags: [fast]",
        ),
    ),
    mutation(
        "unit_test_disabled",
        sub("models/schema.yml", "config: {tags: [fast], meta", "config: {enabled: false, meta"),
    ),
    mutation("function_body", sub("functions/twice.sql", "y * 2", "y + y"), quick=True),
    mutation(
        "function_argument",
        sub("functions/functions.yml", "{name: y, data_type: bigint,", "{name: y, data_type: int,"),
    ),
    mutation(
        "function_argument_description",
        sub("functions/functions.yml", "description: In", "description: Input"),
    ),
    mutation(
        "function_returns",
        sub("functions/functions.yml", "returns: {data_type: bigint}", "returns: {data_type: numeric}"),
    ),
    mutation(
        "function_description",
        sub("functions/functions.yml", "description: Prices", "description: Priced"),
    ),
    mutation("function_meta", sub("functions/functions.yml", "owner: fin", "owner: ops")),
    mutation("function_schema", sub("functions/functions.yml", "schema: functions", "schema: udfs")),
    mutation("function_tags", sub("functions/functions.yml", "tags: [udf]", "tags: [udfs]")),
    mutation(
        "function_new",
        write("functions/fresh.sql", "select 1\n"),
        append("functions/functions.yml", "  - name: fresh\n    returns: {data_type: int}\n"),
    ),
    mutation("function_moved", move("functions/twice.sql", "functions/deep/twice.sql")),
    mutation("time_spine", sub("models/time/spine.sql", "2020", "2021")),
    mutation("target", target="prod"),
    mutation(
        "many",
        sub("models/customers.sql", "name", "lower(name) as name"),
        sub(SEM, "agg: sum", "agg: max"),
        sub(SEM, "base * 2", "base + base"),
        sub("models/schema.yml", "amount: 10, status", "amount: 20, status"),
        sub("functions/twice.sql", "y * 2", "y + y"),
        probed=True,
    ),
]
