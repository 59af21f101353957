"""The mesh: macros of packages, contracts and versions."""

from __future__ import annotations

from edits import Mutation, age, append, forget, move, mutation, remove, sub, write

TOOLKIT = "vendored/toolkit/macros/toolkit.sql"

MESH: list[Mutation] = [
    mutation("nothing", quick=True, probed=True),
    mutation("state_of_older_dbt", state=age),
    mutation("state_of_one_node", state=forget("nodes", "sources", "exposures", "unit_tests")),
    mutation("state_without_macros", state=forget("macros")),
    mutation("macro_of_project", sub("macros/own.sql", "'mesh {{", "'meshed {{"), quick=True),
    mutation("macro_same_name_in_package", sub(TOOLKIT, "'toolkit {{", "'tool {{")),
    mutation(
        "macro_same_name_in_other_package",
        sub("vendored/extras/macros/extras.sql", "'extras {{", "'more {{"),
    ),
    mutation("macro_outer_of_package", sub(TOOLKIT, "coalesce(", "coalesce (")),
    mutation("macro_inner_of_package", sub(TOOLKIT, "nullif(", "nullif (")),
    mutation("macro_deepest_of_package", sub(TOOLKIT, "::numeric", "::decimal"), quick=True),
    mutation("macro_dispatched_default", sub(TOOLKIT, "'toolkit:", "'tool:")),
    mutation(
        "macro_dispatched_chosen",
        sub("vendored/extras/macros/extras.sql", "'extras label", "'extra label"),
    ),
    mutation(
        "macro_dispatched_override_new",
        append("macros/own.sql", "{% macro default__label(value) %}'mine'{% endmacro %}\n"),
    ),
    mutation(
        "macro_dispatched_gone",
        sub(
            "vendored/extras/macros/extras.sql",
            "{% macro materialize__label(value) %}'extras label {{ value }}'{% endmacro %}",
            "",
        ),
    ),
    mutation("dispatch_order", sub("dbt_project.yml", "[mesh, extras, toolkit]", "[toolkit]")),
    mutation("macro_of_cycle", sub(TOOLKIT, "{% endif %}2", "{% endif %}3")),
    mutation("macro_passed_as_value", sub("macros/own.sql", "lower(", "upper(")),
    mutation("macro_schema_name", sub("macros/generate_schema_name.sql", "or target.schema", "or 'main'")),
    mutation("macro_of_run_hook", sub("macros/own.sql", "select '{{ what }}'", "select '{{ what }}!'")),
    mutation("macro_of_pre_hook", sub("macros/own.sql", "announce('pre')", "announce('before')")),
    mutation("run_hook", sub("dbt_project.yml", "announce('start')", "announce('begin')")),
    mutation("run_hook_gone", sub("dbt_project.yml", "on-run-start: \"{{ announce('start') }}\"\n", "")),
    mutation(
        "macro_moved_between_packages",
        sub(TOOLKIT, "{% macro deepest(column) %}{{ column }}::numeric{% endmacro %}", ""),
        sub(TOOLKIT, "toolkit.deepest", "extras.deepest"),
        append(
            "vendored/extras/macros/extras.sql",
            "{% macro deepest(column) %}{{ column }}::numeric{% endmacro %}\n",
        ),
    ),
    mutation(
        "macro_of_package_overridden",
        append("macros/own.sql", "{% macro extras_only(value) %}'mine'{% endmacro %}\n"),
    ),
    mutation("generic_test_of_package", sub("vendored/toolkit/macros/tests.sql", "<= 0", "< 1"), quick=True),
    mutation(
        "generic_test_overridden",
        write("macros/tests.sql", "{% test is_positive(model, column_name) %}select 1{% endtest %}\n"),
    ),
    mutation("package_model", sub("vendored/toolkit/models/calendar.sql", "as origin", "as source")),
    mutation("package_variable", sub("dbt_project.yml", "2020-01-01", "2021-01-01")),
    mutation("package_materialized", sub("vendored/toolkit/dbt_project.yml", "table", "view")),
    mutation("package_schema", sub("dbt_project.yml", "+schema: toolkit", "+schema: tools")),
    mutation(
        "package_meta",
        sub("dbt_project.yml", "    +schema: toolkit", "    +schema: toolkit\n    +meta: {a: 1}"),
    ),
    mutation("package_version", sub("vendored/toolkit/dbt_project.yml", "1.0.0", "1.0.1")),
    mutation(
        "package_source",
        sub("vendored/toolkit/models/calendar.yml", "schema: platform", "schema: plat"),
    ),
    mutation(
        "package_model_new",
        write("vendored/extras/models/fresh.sql", "select * from {{ ref('extra') }}\n"),
    ),
    mutation(
        "package_disabled_model",
        sub("vendored/extras/models/extra.sql", "select", "{{ config(enabled=false) }} select"),
    ),
    mutation("model_body", sub("models/staging/accounts.sql", "1::bigint", "2::bigint")),
    mutation("group", sub("dbt_project.yml", "+group: finance", "+group: growth")),
    mutation("group_owner", sub("models/groups.yml", "name: Fin", "name: Finance")),
    mutation("access", sub("models/marts/schema.yml", "access: public", "access: protected")),
    mutation("access_of_project", sub("dbt_project.yml", "+access: protected", "+access: public")),
    mutation(
        "contract_added",
        sub(
            "models/marts/schema.yml",
            "  - name: loose\n",
            "  - name: loose\n    config: {contract: {enforced: true}}\n",
        ),
    ),
    mutation(
        "contract_removed",
        sub("models/marts/schema.yml", "enforced: true", "enforced: false"),
        quick=True,
    ),
    mutation(
        "contract_removed_from_view",
        sub(
            "models/marts/schema.yml",
            "      contract: {enforced: true}\n      access",
            "      contract: {enforced: false}\n      access",
        ),
    ),
    mutation(
        "contract_column_type",
        sub(
            "models/marts/schema.yml",
            "data_type: bigint\n        constraints",
            "data_type: int\n        constraints",
        ),
    ),
    mutation("contract_column_precision", sub("models/marts/schema.yml", "numeric(38,2)", "numeric(38,4)")),
    mutation(
        "contract_column_added",
        sub(
            "models/marts/schema.yml",
            "      - {name: origin, data_type: text}\n",
            "      - {name: origin, data_type: text}\n      - {name: more, data_type: text}\n",
        ),
    ),
    mutation(
        "contract_column_removed",
        sub("models/marts/schema.yml", "      - {name: origin, data_type: text}\n", ""),
    ),
    mutation(
        "contract_column_described",
        sub(
            "models/marts/schema.yml",
            "{name: origin, data_type: text}",
            "{name: origin, data_type: text, description: Where from}",
        ),
    ),
    mutation(
        "contract_columns_reordered",
        sub(
            "models/marts/schema.yml",
            '      - {name: id, data_type: bigint}\n      - {name: balance, data_type: "numeric(38,2)"}\n',
            '      - {name: balance, data_type: "numeric(38,2)"}\n      - {name: id, data_type: bigint}\n',
        ),
    ),
    mutation(
        "contract_type_case",
        sub(
            "models/marts/schema.yml",
            "      - {name: id, data_type: bigint}\n",
            "      - {name: id, data_type: BIGINT}\n",
        ),
    ),
    mutation(
        "constraint_removed",
        sub("models/marts/schema.yml", "        constraints: [{type: not_null}]\n", ""),
    ),
    mutation(
        "constraint_added",
        sub("models/marts/schema.yml", "[{type: not_null}]", "[{type: not_null}, {type: unique}]"),
    ),
    mutation(
        "constraint_of_model",
        sub(
            "models/marts/schema.yml",
            "    description: The ledger.\n",
            "    description: The ledger.\n    constraints: [{type: check, expression: id > 0}]\n",
        ),
    ),
    mutation("constraint_of_table_removed", sub("models/marts/tables.yml", "[{type: not_null}]", "[]")),
    mutation(
        "constraint_of_table_of_versions_removed",
        sub("models/marts/tables.yml", "[{type: not_null, name: keyed}]", "[]"),
    ),
    mutation(
        "constraint_of_table_model_removed",
        sub("models/marts/tables.yml", "    constraints: [{type: check, expression: id > 0}]\n", ""),
    ),
    mutation("constraint_renamed", sub("models/marts/tables.yml", "name: keyed", "name: keys")),
    mutation("materialized_of_constrained_table", sub("models/marts/fact_v1.sql", "'table'", "'view'")),
    mutation(
        "deprecated_version_deleted",
        remove("models/marts/gone_v1.sql"),
        sub("models/marts/tables.yml", "      - {v: 1, deprecation_date: 2020-01-01}\n", ""),
    ),
    mutation(
        "deprecated_version_broken",
        sub("models/marts/tables.yml", "      - {name: first, data_type: text}\n", ""),
    ),
    mutation(
        "version_becomes_unversioned",
        move("models/marts/fact_v1.sql", "models/marts/fact.sql"),
        sub("models/marts/tables.yml", "    versions: [{v: 1}]\n", ""),
        sub("models/marts/tables.yml", "    latest_version: 1\n", ""),
    ),
    mutation(
        "defined_in_other_file",
        sub("models/marts/tables.yml", "versions: [{v: 1}]", "versions: [{v: 1, defined_in: fact_one}]"),
        move("models/marts/fact_v1.sql", "models/marts/fact_one.sql"),
    ),
    mutation(
        "contract_alias_types",
        sub(
            "models/marts/schema.yml",
            "contract: {enforced: true}",
            "contract: {enforced: true, alias_types: false}",
        ),
    ),
    mutation(
        "contract_broken_in_version",
        sub(
            "models/marts/schema.yml",
            "          - include: all\n            exclude: [origin]\n",
            "          - include: all\n",
        ),
        quick=True,
    ),
    mutation(
        "contract_broken_in_version_2",
        sub(
            "models/marts/schema.yml",
            "      - {name: origin, data_type: text}\n    versions",
            "    versions",
        ),
        sub(
            "models/marts/schema.yml",
            "          - include: all\n            exclude: [origin]\n",
            "          - include: all\n",
        ),
    ),
    mutation(
        "contract_removed_from_versions",
        sub(
            "models/marts/schema.yml",
            "    deprecation_date: 2099-01-01\n    config:\n      contract: {enforced: true}\n",
            "    deprecation_date: 2099-01-01\n",
        ),
    ),
    mutation("contracted_model_deleted", remove("models/marts/ledger_contract.sql")),
    mutation(
        "contracted_model_disabled",
        sub("models/marts/ledger_contract.sql", "config(", "config(enabled=false, "),
    ),
    mutation(
        "contracted_version_deleted",
        remove("models/marts/dim_v3.sql"),
        sub(
            "models/marts/schema.yml",
            "      - v: 3\n"
            "        config: {tags: [future]}\n"
            "        columns:\n"
            "          - include: all\n"
            "          - {name: balance, data_type: numeric}\n",
            "",
        ),
    ),
    mutation(
        "contracted_version_disabled",
        sub("models/marts/schema.yml", "config: {tags: [future]}", "config: {enabled: false}"),
    ),
    mutation(
        "contract_body",
        sub("models/marts/ledger_contract.sql", "select id, balance", "select id,  balance"),
    ),
    mutation(
        "version_latest",
        sub("models/marts/schema.yml", "latest_version: 2", "latest_version: 3"),
        quick=True,
    ),
    mutation(
        "version_new",
        write("models/marts/dim_v4.sql", "select 1 as id\n"),
        sub("models/marts/schema.yml", "      - v: 3\n", "      - v: 4\n      - v: 3\n"),
    ),
    mutation("version_body", sub("models/marts/dim_v1.sql", "select id", "select id as id")),
    mutation("version_tags", sub("models/marts/schema.yml", "[future]", "[next]")),
    mutation("deprecation_date", sub("models/marts/schema.yml", "2099-01-01", "2098-01-01")),
    mutation(
        "deprecation_date_gone",
        sub("models/marts/schema.yml", "    deprecation_date: 2099-01-01\n", ""),
    ),
    mutation("unit_test_of_versions", sub("models/marts/schema.yml", "origin: a", "origin: b")),
    mutation("hook_list", sub("models/marts/ledger.sql", '"select 1"', '"select 2"')),
    mutation("singular_test_macro_argument", sub("tests/ledger_positive.sql", "< 0", "< 1")),
    mutation("target", target="prod"),
    mutation(
        "many",
        sub("models/staging/events_mesh.sql", "select *", "select 1"),
        sub("macros/own.sql", "'mesh {{", "'meshed {{"),
        sub("models/marts/schema.yml", "latest_version: 2", "latest_version: 3"),
        write("vendored/extras/models/fresh.sql", "select * from {{ ref('extra') }}\n"),
        probed=True,
    ),
]
