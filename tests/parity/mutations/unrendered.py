"""The project that compares more of what was written."""

from __future__ import annotations

from edits import Mutation, age, mutation, sub

UNRENDERED: list[Mutation] = [
    mutation("nothing", quick=True, probed=True),
    mutation("state_of_older_dbt", state=age),
    mutation("target", target="prod", quick=True, probed=True),
    mutation("environment_variable", environment={"PARITY_CLUSTER": "spare"}),
    mutation("environment_variable_of_yml", environment={"PARITY_ROLE": "writer"}),
    mutation("variable", variables={"flavour": "spicy"}),
    mutation(
        "config_whitespace",
        sub("models/constant.sql", "    cluster='compute',\n", "    cluster = 'compute',\n"),
    ),
    mutation("config_value", sub("models/constant.sql", "cluster='compute'", "cluster='other'")),
    mutation(
        "config_order",
        sub(
            "models/constant.sql",
            "    materialized='materialized_view',\n    cluster='compute',\n",
            "    cluster='compute',\n    materialized='materialized_view',\n",
        ),
    ),
    mutation("config_quotes", sub("models/constant.sql", "cluster='compute'", 'cluster="compute"')),
    mutation("config_tags", sub("models/constant.sql", '["steady"]', '["unsteady"]')),
    mutation(
        "config_same_value_other_text",
        sub("models/marts/mart.sql", "cluster=cluster_for()", "cluster='compute'"),
    ),
    mutation(
        "config_hook_text",
        sub("models/marts/mart.sql", "select '{{ target.name }}'", "select '{{ target.schema }}'"),
    ),
    mutation("config_macro", sub("macros/where.sql", "'compute'", "'other'")),
    mutation("config_alias_text", sub("models/base.sql", "'base_' ~ target.name", "'base_dev'")),
    mutation(
        "folder_schema_text",
        sub("dbt_project.yml", "'marts_prod' if target.name == 'prod' else 'marts'", "'marts'"),
    ),
    mutation(
        "folder_cluster_text",
        sub("dbt_project.yml", "\"{{ env_var('PARITY_CLUSTER', 'compute') }}\"", "compute"),
    ),
    mutation("source_schema_text", sub("models/schema.yml", '"{{ target.name }}_feed"', "dev_feed")),
    mutation(
        "source_database_text",
        sub("models/schema.yml", '    database: "{{ target.database }}"', "    database: materialize"),
    ),
    mutation("source_database_gone", sub("models/schema.yml", '    database: "{{ target.database }}"\n', "")),
    mutation("source_meta_text", sub("models/schema.yml", 'from: "{{ target.name }}"', "from: dev")),
    mutation("source_event_time", sub("models/schema.yml", "event_time: at", "event_time: then")),
    mutation(
        "test_severity_text",
        sub("models/schema.yml", "'error' if target.name == 'prod' else 'warn'", "'warn'"),
    ),
    mutation(
        "test_severity_of_singular",
        sub("tests/one.sql", "'error' if target.name == 'prod' else 'warn'", "'warn'"),
    ),
    mutation("description_text", sub("models/schema.yml", "Plain on {{ target.name }}", "Plain on dev")),
    mutation(
        "exposure_text",
        sub("models/schema.yml", 'owner: {name: "{{ target.name }}"}', "owner: {name: dev}"),
    ),
    mutation(
        "default_selector_of_target",
        target="prod",
        environment={"PARITY_CLUSTER": "models"},
        probed=True,
    ),
    mutation("exposure_meta_text", sub("models/schema.yml", 'stage: "{{ target.name }}"', "stage: dev")),
    mutation("seed_schema_text", sub("dbt_project.yml", '"{{ target.name }}_seeds"', "dev_seeds")),
    mutation("flag_off", sub("dbt_project.yml", "values: true", "values: false"), probed=True),
    mutation("body", sub("models/marts/plain.sql", "select *", "select 1")),
]
