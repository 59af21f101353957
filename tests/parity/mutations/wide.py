"""The wide project: configuration from outside, selectors, a large seed."""

from __future__ import annotations

from edits import Mutation, age, append, move, mutation, sub

SPECIAL = "models/special/"

WIDE: list[Mutation] = [
    mutation("nothing", quick=True, probed=True),
    mutation("state_of_older_dbt", state=age),
    mutation("variable_from_command_line", variables={"level": "full"}, quick=True),
    mutation("variable_in_project", sub("dbt_project.yml", "level: basic", "level: full")),
    mutation("variable_only_in_body", variables={"lookback": 7}),
    mutation("variable_of_schema", variables={"zone": "zone_b"}),
    mutation("environment_variable", environment={"PARITY_CLUSTER": "spare"}),
    mutation("environment_variable_of_grant", environment={"PARITY_ROLE": "writer"}),
    mutation("environment_variable_of_source", environment={"PARITY_TABLE": "thing"}),
    mutation("target", target="prod", probed=True),
    mutation("large_seed_row", append("seeds/large.csv", "999999,another\n"), quick=True),
    mutation(
        "large_seed_shrinks",
        lambda project: (project / "seeds/large.csv").write_text("id,v\n1,a\n") and None,
    ),
    mutation("large_seed_moved", move("seeds/large.csv", "seeds/deep/large.csv")),
    mutation("small_seed_row", append("seeds/small.csv", "2,b\n")),
    mutation("leaf", append("models/layer_3/m_3_0.sql", "where true\n")),
    mutation("root", append("models/layer_0/m_0_0.sql", "where true\n"), quick=True, probed=True),
    mutation(
        "middle_and_root",
        append("models/layer_0/m_0_5.sql", "where true\n"),
        append("models/layer_2/m_2_2.sql", "where true\n"),
        probed=True,
    ),
    mutation("nested_meta", sub(SPECIAL + "configured.sql", "'deep': 'yes'", "'deep': 'no'")),
    mutation("dotted_name", sub(SPECIAL + "dotted.name.sql", "1", "2")),
    mutation("accepted_values", sub(SPECIAL + "schema.yml", "[basic, full]", "[basic]")),
    mutation("severity_case", sub(SPECIAL + "schema.yml", "severity: WARN", "severity: warn")),
    mutation(
        "tests_gone",
        sub(
            SPECIAL + "schema.yml",
            "          - not_null:\n              config: {severity: WARN, limit: 10}\n",
            "          - unique\n",
        ),
    ),
    mutation("meta_of_project", sub("dbt_project.yml", "+meta: {environment:", "+meta: {stage:")),
    mutation(
        "selectors",
        sub("selectors.yml", "definition: tag:nightly", "definition: tag:middle"),
        probed=True,
    ),
    mutation("no_default_selector", sub("selectors.yml", "    default: true\n", ""), probed=True),
    mutation("source_identifier", sub(SPECIAL + "schema.yml", "'things') }}\"", "'stuff') }}\"")),
    mutation("layer_moved", move("models/layer_1/m_1_0.sql", "models/layer_1/deep/m_1_0.sql")),
]
