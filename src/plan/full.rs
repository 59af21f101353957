//! All of `vars.deployment` as one plan.
