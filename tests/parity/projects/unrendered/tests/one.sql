{{ config(severity='error' if target.name == 'prod' else 'warn') }}
select * from {{ ref('plain') }} where id is null
