{{ config(meta={'built': run_started_at.strftime('%Y')}) }}
select {{ invocation_id | length }} as n
