//! One deployment with its events, effects and checks, as text.

use super::{diff, indented, who};
use crate::domain::lifecycle::state::{Asker, Event};
use crate::foundation::escape::visible;
use crate::foundation::span::{between, moment};
use crate::interfaces::console::output::tables::table;
use crate::interfaces::console::output::{Page, View, format};
use crate::interfaces::record::{EffectView, ShowView};
use crate::operations::deployment::watch::Watched;
use crate::operations::green::privileges::clashes;
use crate::operations::saga::identity::made_beside;
use crate::operations::saga::statements::Statements;
use crate::planning::planner::render::{self, Detail};
use serde_json::Value;

/// The most characters of an effect's result that `show` prints without `-v`.
const LONGEST_RESULT: usize = 60;

impl View for ShowView {
    fn text(&self, page: Page) -> String {
        let deployment = &self.deployment;
        let mut text = format!("Deployment {}\n", visible(&deployment.id));
        let mut fact = |name: &str, value: String| {
            text.push_str(&format!("  {name:<12} {value}\n"));
        };
        fact("environment", visible(&deployment.environment).into_owned());
        fact("state", format::state(deployment.state));
        fact("by", who(deployment.by.as_ref()));
        fact("started", moment(deployment.created_at));
        fact(
            "finished",
            deployment.finished_at.map_or("-".to_owned(), moment),
        );
        if let Some(took) = deployment.took() {
            fact("took", format::length(took));
        }
        if let Some(reason) = &deployment.reason {
            fact("reason", indented(reason, "               "));
        }
        if let Some(plan) = &self.plan {
            let detail = if page.verbose {
                Detail::Full
            } else {
                Detail::Short
            };
            text.push('\n');
            text.push_str(&render::text(plan, detail));
        }
        let beside = self.beside();
        if !beside.is_empty() {
            text.push_str("\nMade beside the plan\n");
            for object in beside {
                text.push_str(&format!("  {}\n", visible(&object)));
            }
        }
        let meanwhile = self.meanwhile();
        if !meanwhile.is_empty() {
            text.push_str("\nChanged in production meanwhile\n");
            for what in meanwhile {
                text.push_str(&format!("  {}\n", visible(&what)));
            }
        }
        let stays = self.stays(page.now);
        if !stays.is_empty() {
            text.push_str("\nTime in each state\n");
            for (state, length) in stays {
                let (state, length) = (format::state(state), format::length(length));
                text.push_str(&format!("  {state:<13} {length}\n"));
            }
        }
        if let Some(waiting) = &self.waiting {
            text.push_str(&format!("\nWaits for ({})\n", moment(waiting.at)));
            for reason in &waiting.reasons {
                text.push_str(&format!("  {}\n", visible(reason)));
            }
        }
        if let Some(promotion) = &self.promotion {
            text.push_str("\nBefore the swap\n");
            for line in promotion.lines() {
                text.push_str(&format!("  {}\n", visible(&line)));
            }
        }
        if let Some(Statements(statements)) = &self.statements {
            text.push_str("\nStatements sent\n");
            for (part, counts) in statements {
                text.push_str(&format!("  {:<13} {counts}\n", visible(part)));
            }
        }
        if !self.checks.is_empty() {
            text.push('\n');
            text.push_str(&self.checks_table());
        }
        text.push_str(&diff::recorded(&self.diff, page.verbose));
        if let Some(watched) = &self.watched {
            text.push_str(&after_the_swap(watched));
        }
        if !self.events.is_empty() {
            text.push('\n');
            text.push_str(&self.events_table());
        }
        if !self.effects.is_empty() {
            text.push('\n');
            text.push_str(&self.effects_table(page));
        }
        text
    }
}

impl ShowView {
    /// What dbt made that no planned node makes, by the last record of the new side.
    fn beside(&self) -> Vec<String> {
        let made = |effect: &EffectView| Some(made_beside(&effect.key, effect.result.as_ref()?));
        let mut records = self.effects.iter().filter_map(made);
        records
            .rfind(|beside| !beside.is_empty())
            .unwrap_or_default()
    }

    /// What people changed in production meanwhile, and what the release changed as well.
    fn meanwhile(&self) -> Vec<String> {
        let told = |effect: &EffectView| Some(clashes(&effect.key, effect.result.as_ref()?));
        self.effects.iter().filter_map(told).flatten().collect()
    }

    fn checks_table(&self) -> String {
        let number = |number: Option<u64>| number.map_or("-".to_owned(), |n| n.to_string());
        let rows = self.checks.iter().map(|check| {
            let outcome = &check.outcome;
            [
                visible(&outcome.name).into_owned(),
                check.moment.as_str().to_owned(),
                outcome.level.as_str().to_owned(),
                outcome.verdict.as_str().to_owned(),
                number(outcome.blue),
                number(outcome.green),
                outcome.runs.to_string(),
                moment(outcome.at),
                visible(&outcome.says).into_owned(),
            ]
        });
        table(
            [
                "CHECK", "WHEN", "LEVEL", "VERDICT", "OLD", "NEW", "RUNS", "LAST", "WHY",
            ],
            rows,
        )
    }

    fn events_table(&self) -> String {
        let rows = self.events.iter().map(|event| {
            [
                event.seq.to_string(),
                moment(event.at),
                visible(&event_sentence(&event.event)).into_owned(),
                format::state(event.state_after),
                who(event.by.as_ref()),
            ]
        });
        table(["EVENT", "AT", "WHAT HAPPENED", "STATE AFTER", "BY"], rows)
    }

    fn effects_table(&self, page: Page) -> String {
        let rows = self.effects.iter().map(|effect| {
            let took = match effect.finished_at {
                Some(end) => format::length(between(effect.started_at, end)),
                None => "not finished".to_owned(),
            };
            let shown = |value: &Value| {
                let text = match value.as_str() {
                    Some(text) => visible(text).into_owned(),
                    None => visible(&value.to_string()).into_owned(),
                };
                // Whole in JSON, and here with -v.
                if page.verbose || text.chars().count() <= LONGEST_RESULT {
                    return text;
                }
                let head: String = text.chars().take(LONGEST_RESULT).collect();
                format!("{head}…")
            };
            let mut result = effect.result.as_ref().map_or("unknown".to_owned(), shown);
            if page.verbose {
                result = format!("{}\n{result}", shown(&effect.intent));
            }
            [
                visible(&effect.key).into_owned(),
                effect.attempt.to_string(),
                moment(effect.started_at),
                took,
                result,
            ]
        });
        table(["EFFECT", "ATTEMPT", "AT", "TOOK", "RESULT"], rows)
    }
}

fn after_the_swap(watched: &Watched) -> String {
    let Watched {
        looks,
        degraded,
        unknown,
        worst,
        last,
        ..
    } = watched;
    let mut text = format!(
        "\nAfter the swap\n  {:<13} {looks}, {degraded} degraded, {unknown} unknown\n",
        "looks"
    );
    let worst = worst.as_ref().map_or("unknown".to_owned(), |worst| {
        let object = worst.object.as_deref().unwrap_or(&worst.cluster);
        let (lag, at) = (format::lag(worst.lag_ms), moment(worst.at));
        format!("{lag} ({}) at {at}", visible(object))
    });
    text.push_str(&format!("  {:<13} {worst}\n", "worst lag"));
    if let Some(last) = last {
        let why = last.why.join("; ");
        let why = match why.is_empty() {
            true => String::new(),
            false => format!(": {}", visible(&why)),
        };
        let (health, at) = (last.health.as_str(), moment(last.at));
        text.push_str(&format!("  {:<13} {health} at {at}{why}\n", "last"));
    }
    text
}

fn event_sentence(event: &Event) -> String {
    match event {
        Event::PlanStored => "plan stored".to_owned(),
        Event::StagingStarted => "staging started".to_owned(),
        Event::Staged => "staged".to_owned(),
        Event::Built => "built".to_owned(),
        Event::Hydrated => "hydrated".to_owned(),
        Event::Verified => "verified".to_owned(),
        Event::PromotionStarted => "promotion started".to_owned(),
        Event::SwapCommitted => "swap committed".to_owned(),
        Event::SwapDeclined { reason } => format!("swap not made: {reason}"),
        Event::SwapPutOff { reason } => format!("swap put off: {reason}"),
        Event::Soaked => "soak ended".to_owned(),
        Event::CleanedUp => "cleaned up".to_owned(),
        Event::StepFailed { reason } => format!("step failed: {reason}"),
        Event::StepKept { reason, until } => {
            format!("step failed, kept until {}: {reason}", moment(*until))
        }
        Event::Retried => "tried once more".to_owned(),
        Event::KeepingEnded { why } => format!("not kept any longer: {why}"),
        Event::Approved { given, needed } => format!("approved ({given} of {needed})"),
        Event::PromotionWaits { reason } | Event::Expired { reason } => reason.clone(),
        Event::GateClosed { reason, .. } => reason.clone(),
        Event::AbortRequested => "abort requested".to_owned(),
        Event::UnwoundAfterFailure | Event::UnwoundAfterAbort => "candidate dropped".to_owned(),
        Event::Degraded { reason } => format!("degraded: {reason}"),
        Event::Recovered => "recovered".to_owned(),
        Event::DecisionAsked { reason } => reason.clone(),
        Event::HeldUp { reason } => format!("not swapped: {reason}"),
        Event::FreezeOverridden { reason } => format!("freeze overridden: {reason}"),
        Event::DecisionWithdrawn => "no check asks any more".to_owned(),
        Event::Asked { verb, by } => format!("{verb} asked ({})", by.as_str()),
        Event::AskedTooLate { verb, reason } => format!("{verb} came too late: {reason}"),
        Event::RollbackRequested {
            reason,
            cause,
            forced,
            held,
        } => {
            let by = cause.map(Asker::as_str);
            let forced = forced.then_some("ready or not");
            let held = held.then_some("held there");
            let how: Vec<&str> = by.into_iter().chain(forced).chain(held).collect();
            match how.is_empty() {
                true => format!("rollback requested: {reason}"),
                false => format!("rollback requested ({}): {reason}", how.join(", ")),
            }
        }
        Event::RollbackPutOff { reason } => {
            format!("rollback waits, the old side is not ready: {reason}")
        }
        Event::RollbackForced { by } => {
            format!("rollback forced, ready or not ({})", by.as_str())
        }
        Event::RolledBack => "rolled back".to_owned(),
        Event::StuckAt { state, reason } => {
            format!("stuck while {}: {reason}", format::state(*state))
        }
        Event::Unstuck { state } => format!("resumed as {}", format::state(*state)),
    }
}
