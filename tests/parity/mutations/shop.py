"""The shop: each thing that a plain project can change."""

from __future__ import annotations

import projects
from edits import Mutation, age, append, forget, move, mutation, remove, sub, write

MARTS = "models/marts/"
STAGING = "models/staging/"

SHOP: list[Mutation] = [
    mutation("nothing", quick=True, probed=True),
    mutation("state_of_older_dbt", state=age),
    mutation("state_of_one_node", state=forget("nodes", "sources", "exposures", "unit_tests")),
    mutation("state_without_macros", state=forget("macros")),
    mutation("deploy_variable", variables={"deploy": True}),
    mutation("body", sub(STAGING + "stg_orders.sql", "region_id", "region_id, 1 as one"), quick=True),
    mutation("body_of_ephemeral", sub("models/serving/tidy.sql", "currency", "currency as c")),
    mutation("whitespace", sub(STAGING + "stg_orders.sql", "select id", "select  id")),
    mutation("trailing_newlines", append(MARTS + "revenue.sql", "\n\n")),
    mutation("comment", append(MARTS + "revenue.sql", "-- nothing\n")),
    mutation("materialized_in_file", sub(MARTS + "revenue.sql", "'materialized_view'", "'table'")),
    mutation("indexes", sub(MARTS + "orders.sql", "['id']", "['id', 'amount']")),
    mutation("cluster_in_yml", sub(MARTS + "schema.yml", "cluster: heavy", "cluster: heavier"), quick=True),
    mutation("cluster_gone", sub(MARTS + "schema.yml", "      cluster: heavy\n", "      enabled: true\n")),
    mutation("meta_in_file", sub(STAGING + "stg_customers.sql", "'level': 1", "'level': 2")),
    mutation("meta_in_yml", sub(MARTS + "schema.yml", "owner: sales", "owner: finance")),
    mutation("meta_true_for_one", sub(STAGING + "stg_customers.sql", "'level': 1", "'level': true")),
    mutation("meta_float_for_integer", sub(STAGING + "stg_customers.sql", "'level': 1", "'level': 1.0")),
    mutation("meta_text_for_integer", sub(STAGING + "stg_customers.sql", "'level': 1", "'level': '1'")),
    mutation("meta_none", sub(STAGING + "stg_customers.sql", "'level': 1", "'level': none")),
    mutation(
        "meta_reordered",
        sub(STAGING + "stg_customers.sql", "'owner': 'crm', 'level': 1", "'level': 1, 'owner': 'crm'"),
    ),
    mutation("meta_date", sub(MARTS + "schema.yml", "owner: sales", "owner: 2026-01-01")),
    mutation("meta_text_like_date", sub(MARTS + "schema.yml", "owner: sales", "owner: '2026-01-01'")),
    mutation(
        "meta_large_number",
        sub(MARTS + "schema.yml", "owner: sales", "owner: 9007199254740993"),
    ),
    mutation(
        "config_none",
        sub("models/serving/tidy.sql", "materialized='ephemeral'", "materialized='ephemeral', cluster=none"),
    ),
    mutation("meta_of_yml_in_file", sub(MARTS + "orders.sql", "config(", "config(meta={'owner': 'sales'}, ")),
    mutation("tags_in_file", sub(STAGING + "stg_customers.sql", "['people']", "['humans']")),
    mutation("tags_in_yml", sub(MARTS + "schema.yml", "[core, nightly]", "[core]")),
    mutation("hook", sub(MARTS + "revenue.sql", "'reader'", "'writer'")),
    mutation(
        "hook_new",
        sub("models/serving/report.sql", "select", "{{ config(pre_hook='select 1') }}\nselect"),
    ),
    mutation(
        "hook_of_yml",
        sub(MARTS + "schema.yml", "cluster: heavy", "cluster: heavy\n      post-hook: select 1"),
    ),
    mutation(
        "hook_of_folder",
        sub("dbt_project.yml", "+schema: serving", "+schema: serving\n      +post-hook: [select 1, select 2]"),
    ),
    mutation("grants", sub(MARTS + "balances.sql", "['reader']", "['reader', 'boss']")),
    mutation("alias", sub(MARTS + "balances.sql", "account_balances", "account_balance")),
    mutation("alias_new", sub(MARTS + "schema.yml", "cluster: heavy", "alias: income")),
    mutation(
        "schema_in_file",
        sub("models/serving/report.sql", "select", "{{ config(schema='other') }}\nselect"),
    ),
    mutation("schema_of_folder", sub("dbt_project.yml", "+schema: serving", "+schema: served")),
    mutation("folder_schema_gone", sub("dbt_project.yml", "      +schema: marts\n", "")),
    mutation("cluster_of_folder", sub("dbt_project.yml", "+cluster: compute", "+cluster: other")),
    mutation("meta_of_folder", sub("dbt_project.yml", "tier: gold", "tier: silver")),
    mutation("tags_of_folder", sub("dbt_project.yml", "[staging]", "[staged]")),
    mutation("materialized_of_project", sub("dbt_project.yml", "+materialized: view", "+materialized: table")),
    mutation("test_severity_of_project", sub("dbt_project.yml", "+severity: error", "+severity: warn")),
    mutation("persist_docs_off", sub("dbt_project.yml", "relation: true", "relation: false")),
    mutation("persist_docs_on", sub("dbt_project.yml", "+tags: [staging]", "+persist_docs: {columns: true}")),
    mutation(
        "description_persisted",
        sub(MARTS + "schema.yml", "Orders with names", "Orders and names"),
        quick=True,
    ),
    mutation("description_not_persisted", sub(STAGING + "schema.yml", "Orders, tidied", "Orders, tidy")),
    mutation("column_description_persisted", sub(MARTS + "schema.yml", "The key", "A key")),
    mutation("column_description_not_persisted", sub(STAGING + "schema.yml", "The key", "A key")),
    mutation(
        "column_new_persisted",
        sub(MARTS + "schema.yml", "      - name: region\n", "      - {name: added}\n      - name: region\n"),
    ),
    mutation("doc_block", sub("models/docs.md", "The region's name", "A region's name")),
    mutation("macro", sub("macros/money.sql", "* 100", "* 1000")),
    mutation(
        "macro_two_deep",
        sub("macros/money.sql", "round({{ column }}, 2)", "round({{ column }}, 3)"),
        quick=True,
    ),
    mutation("macro_unused", sub("macros/money.sql", "unused(column)", "unused(name)")),
    mutation("macro_new", append("macros/money.sql", "{% macro fresh() %}1{% endmacro %}\n")),
    mutation(
        "macro_removed",
        sub("macros/money.sql", "{% macro unused(column) %}{{ column }}{% endmacro %}", ""),
    ),
    mutation("macro_moved", move("macros/money.sql", "macros/deep/money.sql")),
    mutation("macro_of_hook", sub("macros/hooks.sql", "grant select", "grant all")),
    mutation("macro_two_deep_of_hook", sub("macros/hooks.sql", '"{{ role }}"', "{{ role }}")),
    mutation(
        "macro_overrides_dbt",
        write(
            "macros/names.sql",
            "{% macro generate_alias_name(custom_alias_name=none, node=none) %}{{ custom_alias_name or "
            "node.name }}{% endmacro %}\n",
        ),
    ),
    mutation(
        "macro_overrides_adapter",
        write(
            "macros/views.sql",
            "{% macro materialize__create_view_as(relation, sql) %}create view {{ relation }} as {{ "
            "sql }}{% endmacro %}\n",
        ),
    ),
    mutation(
        "macro_of_materialization",
        write(
            "macros/view.sql",
            "{% materialization view, adapter='materialize' %}{{ return({'relations': []}) }}{% "
            "endmaterialization %}\n",
        ),
    ),
    mutation(
        "generic_test_macro",
        sub("macros/tests.sql", "where {{ column_name }} <", "where not {{ column_name }} >="),
    ),
    mutation(
        "not_null_overridden",
        append(
            "macros/tests.sql",
            "{% test not_null(model, column_name) %}select 1 from {{ model }} where {{ column_name }} "
            "is null{% endtest %}\n",
        ),
    ),
    mutation("seed_row", append("seeds/regions.csv", "3,east\n"), quick=True),
    mutation("seed_config", sub("seeds/seeds.yml", "id: bigint", "id: int")),
    mutation("seed_description", sub("seeds/seeds.yml", "Where we sell", "Where we buy")),
    mutation("seed_moved", move("seeds/regions.csv", "seeds/deep/regions.csv")),
    mutation(
        "seed_line_ends",
        lambda project: (project / "seeds/regions.csv").write_bytes(b"id,name\r\n1,north\r\n2,south\r\n") and None,
    ),
    mutation("seed_whitespace", append("seeds/regions.csv", "\n\n")),
    mutation(
        "seed_delimiter",
        sub(
            "seeds/seeds.yml",
            "column_types: {id: bigint}",
            "delimiter: ','\n      column_types: {id: bigint}",
        ),
    ),
    mutation("seed_grows_large", append("seeds/rates.csv", projects.rows(projects.LARGE))),
    mutation(
        "model_new",
        write(MARTS + "fresh.sql", "select * from {{ ref('orders') }}, {{ ref('regions') }}\n"),
        quick=True,
    ),
    mutation("model_deleted", remove("models/serving/report_index.sql")),
    mutation("model_renamed", move("models/serving/report_index.sql", "models/serving/report_indexed.sql")),
    mutation("model_disabled", sub("models/serving/report_index.sql", "config(", "config(enabled=false, ")),
    mutation("model_enabled", sub("models/serving/off.sql", "enabled=false", "enabled=true")),
    mutation("model_moved", move("models/serving/report.sql", "models/serving/deep/report.sql"), quick=True),
    mutation("model_moved_to_other_folder", move(STAGING + "stg_payments.sql", MARTS + "stg_payments.sql")),
    mutation(
        "model_line_ends",
        lambda project: (project / "models/serving/report.sql").write_bytes(b"select * from {{ ref('revenue') }}\r\n") and None,
    ),
    mutation(
        "model_enabled_explicitly",
        sub("models/serving/report.sql", "select", "{{ config(enabled=true) }}\nselect"),
    ),
    mutation(
        "model_emptied",
        lambda project: (project / "models/serving/tidy.sql").write_text("  \n") and None,
        probed=True,
    ),
    mutation(
        "python_model",
        write(
            "models/serving/py.py",
            "def model(dbt, session):\n    dbt.config(materialized='table')\n    return dbt.ref('report')\n",
        ),
    ),
    mutation("properties_moved", move(MARTS + "schema.yml", MARTS + "properties.yml")),
    mutation("source_schema", sub("models/sources.yml", "schema: raw", "schema: rawer"), quick=True),
    mutation("source_identifier", sub("models/sources.yml", "identifier: cust", "identifier: customer")),
    mutation(
        "source_identifier_as_name",
        sub(
            "models/sources.yml",
            "      - name: accounts",
            "      - name: accounts\n        identifier: accounts",
        ),
    ),
    mutation(
        "source_database",
        sub("models/sources.yml", "    schema: crm", "    schema: crm\n    database: other"),
    ),
    mutation("source_freshness", sub("models/sources.yml", "count: 12", "count: 24")),
    mutation(
        "source_freshness_of_table",
        sub(
            "models/sources.yml",
            "      - name: accounts",
            "      - name: accounts\n"
            "        config: {freshness: {error_after: {count: 1, period: day}}, loaded_at_field: at}",
        ),
    ),
    mutation(
        "source_loaded_at_field",
        sub("models/sources.yml", "loaded_at_field: loaded_at", "loaded_at_field: at"),
    ),
    mutation("source_loader", sub("models/sources.yml", "loader: kafka", "loader: other")),
    mutation("source_meta", sub("models/sources.yml", "team: ingest", "team: other")),
    mutation("source_tags", sub("models/sources.yml", "[landing]", "[landed]")),
    mutation("source_description", sub("models/sources.yml", "One row an order", "A row an order")),
    mutation("source_quoting", sub("models/sources.yml", "identifier: false", "identifier: true")),
    mutation(
        "source_event_time",
        sub(
            "models/sources.yml",
            "      - name: accounts",
            "      - name: accounts\n        config: {event_time: at}",
        ),
    ),
    mutation(
        "source_disabled",
        sub("models/sources.yml", "        tags: [people]", "        config: {enabled: true, meta: {a: 1}}"),
    ),
    mutation(
        "source_external",
        sub(
            "models/sources.yml",
            "      - name: accounts",
            "      - name: accounts\n        external: {location: s3}",
        ),
    ),
    mutation("source_new", append("models/sources.yml", "      - name: contacts\n")),
    mutation("sources_moved", move("models/sources.yml", "models/raw/sources.yml")),
    mutation("test_severity", sub(STAGING + "schema.yml", "severity: warn", "severity: error"), quick=True),
    mutation("test_where", sub(STAGING + "schema.yml", "name <> ''", "name <> 'x'")),
    mutation("test_arguments", sub(STAGING + "schema.yml", "high: 1000", "high: 2000")),
    mutation("test_tags", sub(STAGING + "schema.yml", "tags: [keys]", "tags: [locks]")),
    mutation("test_meta", sub(STAGING + "schema.yml", "tags: [keys]", "meta: {a: 1}")),
    mutation(
        "test_store_failures",
        sub(MARTS + "schema.yml", "store_failures: true", "store_failures: false"),
    ),
    mutation(
        "test_limit",
        sub(
            MARTS + "schema.yml",
            "store_failures: true",
            "store_failures: true, limit: 5, fail_calc: max(id)",
        ),
    ),
    mutation(
        "test_new",
        append(
            MARTS + "schema.yml",
            "    data_tests: [{same_count: {arguments: {other: \"ref('orders')\"}}}]\n",
        ),
    ),
    mutation("test_deleted", sub(STAGING + "schema.yml", "          - unique\n", "")),
    mutation("test_disabled", sub(STAGING + "schema.yml", "severity: warn", "enabled: false")),
    mutation("test_renamed", sub(STAGING + "schema.yml", "customers_have_ids", "customers_have_keys")),
    mutation("singular_test_body", sub("tests/no_negative.sql", "< 0", "<= 0")),
    mutation("singular_test_new", write("tests/fresh.sql", "select * from {{ ref('report') }} where false\n")),
    mutation("singular_test_config", sub("tests/no_negative.sql", "tags=['audit']", "severity='warn'")),
    mutation("variable", variables={"currency": "usd"}),
    mutation("variable_of_project", sub("dbt_project.yml", "currency: eur", "currency: usd")),
    mutation("exposure_label", sub("models/exposures.yml", "label: The board", "label: A board"), quick=True),
    mutation("exposure_type", sub("models/exposures.yml", "type: dashboard", "type: notebook")),
    mutation("exposure_maturity", sub("models/exposures.yml", "maturity: high", "maturity: low")),
    mutation("exposure_url", sub("models/exposures.yml", "example.com/board", "example.com/boards")),
    mutation("exposure_description", sub("models/exposures.yml", "What the board", "All the board")),
    mutation("exposure_owner", sub("models/exposures.yml", "name: Ops", "name: Operations")),
    mutation(
        "exposure_parents",
        sub("models/exposures.yml", "[ref('report'), ref('revenue')]", "[ref('report')]"),
    ),
    mutation(
        "exposure_parents_reordered",
        sub("models/exposures.yml", "[ref('report'), ref('revenue')]", "[ref('revenue'), ref('report')]"),
    ),
    mutation("exposure_tags", sub("models/exposures.yml", "[external]", "[outside]")),
    mutation("exposure_meta", sub("models/exposures.yml", "kind: bi", "kind: ml")),
    mutation(
        "exposure_new",
        append(
            "models/exposures.yml",
            "  - {name: fresh, type: ml, owner: {name: X}, depends_on: [ref('orders')]}\n",
        ),
    ),
    mutation("exposure_disabled", sub("models/exposures.yml", "tags: [external]", "enabled: false")),
    mutation("exposure_owner_email", sub("models/exposures.yml", "ops@example.com", "op@example.com")),
    mutation(
        "exposure_owner_more",
        sub(
            "models/exposures.yml",
            "owner: {name: Feed}",
            "owner: {name: Feed, email: [a@example.com, b@example.com]}",
        ),
    ),
    mutation("exposure_moved", move("models/exposures.yml", "models/serving/exposures.yml")),
    mutation("snapshot_config", sub("snapshots/orders_snapshot.yml", "[name]", "[name, id]")),
    mutation("snapshot_schema", sub("snapshots/orders_snapshot.yml", "schema: snapshots", "schema: history")),
    mutation("snapshot_body", sub("snapshots/old_style.sql", "select *", "select id, loaded_at")),
    mutation("snapshot_target_schema", sub("snapshots/old_style.sql", "'snapshots'", "'history'")),
    mutation(
        "snapshot_new",
        write(
            "snapshots/fresh.yml",
            "snapshots:\n"
            "  - name: fresh\n"
            "    relation: ref('orders')\n"
            "    config: {unique_key: id, strategy: check, check_cols: all}\n",
        ),
    ),
    mutation("analysis", sub("analyses/explore.sql", "count(*)", "max(id)")),
    mutation("analysis_new", write("analyses/fresh.sql", "select * from {{ ref('report') }}\n")),
    mutation("target", target="prod"),
    mutation("project_renamed_profile", sub("dbt_project.yml", 'version: "1.0.0"', 'version: "1.1.0"')),
    mutation(
        "many",
        sub(STAGING + "stg_payments.sql", "order_id", "order_id, 1 as one"),
        sub("macros/hooks.sql", "grant select", "grant all"),
        sub("models/sources.yml", "schema: crm", "schema: crmm"),
        append("seeds/rates.csv", "gbp,0.9\n"),
        write(STAGING + "fresh.sql", "select * from {{ source('crm', 'accounts') }}\n"),
        remove("models/serving/report_index.sql"),
        probed=True,
    ),
]
