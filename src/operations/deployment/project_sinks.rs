//! Sinks of the project that a release makes, repoints and makes anew.
//!
//! After the swap, so that they read what serves: a sink sends what it reads, and nobody takes that back. A rollback
//! drops what was made before the old side serves again, and makes what was dropped as it was, from the definition
//! that the plan has.

use super::after_swap::{Serving, altered};
use super::sink_health::{self, Watched, said};
use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::ddl::{self, Target};
use crate::adapters::materialize::{Statement, sinks};
use crate::domain::catalog::{Catalog, ObjectKind};
use crate::domain::plan::outside::{Place, SinkChange, SinkDefinition, SinkFate};
use crate::domain::records::deployment::Deployment;
use crate::foundation::failure::{Class, Classify};
use crate::foundation::sql::identifier::Qualified;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::outside::{self, Dropped, Making};
use tokio::time::Instant;

/// What sinks lack, for people.
#[derive(Default)]
struct Lacking {
    not_made: Vec<String>,
    not_repointed: Vec<String>,
}

impl Lacking {
    /// One that could not be done keeps no other from being done; what passes by itself is tried again.
    fn take(
        &mut self,
        sink: &SinkChange,
        done: Result<(), DeploymentError>,
    ) -> Result<(), DeploymentError> {
        let Err(error) = done else {
            return Ok(());
        };
        match error.class() {
            Class::Transient | Class::Conflict | Class::Interrupted | Class::Usage => Err(error),
            Class::Permanent | Class::Refused | Class::Stuck => {
                let what = format!("could not be made ({error})");
                self.not_made.push(said(&sink.place.to_string(), &what));
                Ok(())
            }
        }
    }

    fn or_stuck(self, serves: &str) -> Result<(), DeploymentError> {
        let names = [
            ("sink-not-made", self.not_made),
            ("sink-not-repointed", self.not_repointed),
        ];
        let texts = names
            .into_iter()
            .filter(|(_, what)| !what.is_empty())
            .map(|(name, what)| format!("{name}: {}", what.join("; ")));
        let texts: Vec<String> = texts.collect();
        match texts.is_empty() {
            true => Ok(()),
            false => Err(DeploymentError::Stuck(format!(
                "{}; {serves}. Repair what is named, then run `cutover resume`",
                texts.join("; ")
            ))),
        }
    }
}

/// Makes and changes them, or makes them what they were, as the side that serves wants it, and waits until they run.
/// May run twice.
///
/// # Errors
/// [`DeploymentError::Stuck`] names what could not be made or does not run; the server's and the journal's.
pub(super) async fn follow(
    context: &Context<'_>,
    deployment: &Deployment,
    serving: Serving,
) -> Result<(), DeploymentError> {
    let changes = &deployment.plan.outside.sinks;
    let (key, is_concerned, serves) = match serving {
        Serving::Green => (
            key::SINKS,
            !changes.is_empty(),
            "production serves and the old side is kept",
        ),
        Serving::Blue => (
            key::SINKS_BACK,
            changes.iter().any(|sink| sink.was.is_some()),
            "the old side serves again and the new side is kept",
        ),
    };
    if !is_concerned {
        return Ok(());
    }
    let effect = context.begin(deployment, key, changes).await?;
    if effect.result.is_some() {
        return Ok(());
    }
    let until = Instant::now() + context.settings.sinks.alter_timeout.0;
    let (mut lacking, mut watched) = (Lacking::default(), Vec::new());
    for (number, sink) in changes.iter().enumerate() {
        context.interrupted(deployment)?;
        match (sink.change, serving) {
            (SinkFate::Repointed, _) => {
                let before = sink.was.as_ref().map(|was| &was.definition.reads);
                let to = match serving {
                    Serving::Green => Some(&sink.becomes.reads),
                    Serving::Blue => before,
                };
                if let Some(to) = to {
                    let lacks = repoint(context, deployment, sink, to, until, &mut watched).await?;
                    lacking.not_repointed.extend(lacks);
                }
            }
            (SinkFate::Created | SinkFate::Recreated, Serving::Green) => {
                let made = made_new(context, deployment, (number, sink), &mut watched).await;
                lacking.take(sink, made)?;
            }
            // It went before the swap back.
            (SinkFate::Created, Serving::Blue) => {}
            (SinkFate::Recreated, Serving::Blue) => {
                let made = made_as_it_was(context, deployment, (number, sink), &mut watched).await;
                lacking.take(sink, made)?;
            }
        }
    }
    let late = sink_health::run_again(context, deployment, watched).await?;
    lacking.not_made.extend(late);
    lacking.or_stuck(serves)?;
    context.finish(deployment, key, &true).await
}

/// Drops what was made, before the old side serves again.
///
/// # Errors
/// As of [`outside::drop_by_id`].
pub(super) async fn unmake(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    for (number, sink) in deployment.plan.outside.sinks.iter().enumerate() {
        let (key, secret) = new_name(deployment, number, sink);
        if let Some(id) = outside::made(context, deployment, &key, &secret).await?
            && let Dropped::Needed(by) = outside::drop_by_id(context, deployment, &id).await?
        {
            return Err(DeploymentError::Stuck(format!(
                "the sink {} cannot be dropped: {by} depends on it. Drop that, then run `cutover resume`",
                sink.place
            )));
        }
    }
    Ok(())
}

/// The key of the effect that makes a sink, and the secret name under which that happens.
fn new_name(deployment: &Deployment, number: usize, sink: &SinkChange) -> (String, String) {
    let secret = Context::secret(deployment).hidden("sink", number);
    (format!("{}{}", key::SINK, sink.node), secret)
}

/// Makes a sink as the project has it now, in the place of the old one where there is one.
async fn made_new(
    context: &Context<'_>,
    deployment: &Deployment,
    (number, sink): (usize, &SinkChange),
    watched: &mut Vec<Watched>,
) -> Result<(), DeploymentError> {
    if let Some(was) = &sink.was
        && let Dropped::Needed(by) = outside::drop_by_id(context, deployment, &was.id).await?
    {
        return Err(DeploymentError::Failed(format!(
            "{by} depends on the old one"
        )));
    }
    let (key, secret) = new_name(deployment, number, sink);
    let id = made(context, deployment, sink, &sink.becomes, (key, secret)).await?;
    watched.push((id, sink.place.to_string()));
    let before = sink.was.as_ref();
    let comment = before.and_then(|was| was.definition.comment.as_deref());
    let comment = sink.becomes.comment.as_deref().or(comment);
    let owner = before.map(|was| was.owner.as_str());
    owner_and_comment(context, deployment, sink, owner, comment).await
}

/// Makes a sink as it was, if this release dropped it.
async fn made_as_it_was(
    context: &Context<'_>,
    deployment: &Deployment,
    (number, sink): (usize, &SinkChange),
    watched: &mut Vec<Watched>,
) -> Result<(), DeploymentError> {
    let Some(was) = &sink.was else {
        return Ok(());
    };
    if !outside::was_to_go(context, deployment, &was.id).await? {
        return Ok(());
    }
    let old = (was.id.as_str(), ObjectKind::Sink);
    if outside::show_again(context, deployment, old, &sink.place).await? {
        return Ok(());
    }
    let name = (
        format!("{}{}", key::SINK_BACK, sink.node),
        Context::secret(deployment).hidden("sink_back", number),
    );
    let id = made(context, deployment, sink, &was.definition, name).await?;
    watched.push((id, sink.place.to_string()));
    let comment = was.definition.comment.as_deref();
    owner_and_comment(context, deployment, sink, Some(&was.owner), comment).await
}

async fn made(
    context: &Context<'_>,
    deployment: &Deployment,
    sink: &SinkChange,
    definition: &SinkDefinition,
    (key, secret): (String, String),
) -> Result<String, DeploymentError> {
    let reads = qualified(deployment, &definition.reads);
    let statement = |name: &Qualified<'_>| -> Statement {
        sinks::create_sink(name, &definition.cluster, &reads, &definition.definition)
    };
    let making = Making {
        key,
        secret,
        place: &sink.place,
        kind: ObjectKind::Sink,
        statement: &statement,
    };
    outside::make(context, deployment, &making).await
}

/// Gives a sink its owner and its comment.
async fn owner_and_comment(
    context: &Context<'_>,
    deployment: &Deployment,
    sink: &SinkChange,
    owner: Option<&str>,
    comment: Option<&str>,
) -> Result<(), DeploymentError> {
    let name = qualified(deployment, &sink.place);
    if comment.is_some() {
        let comment = ddl::comment_on_object(ObjectKind::Sink, &name, comment);
        context.execute(&comment).await?;
    }
    if let Some(owner) = owner {
        let target = Target::Object(ObjectKind::Sink, name);
        context.execute(&ddl::alter_owner(&target, owner)).await?;
    }
    Ok(())
}

fn qualified<'a>(deployment: &'a Deployment, place: &'a Place) -> Qualified<'a> {
    Qualified::object(&deployment.plan.database, &place.schema, &place.name)
}

/// Points a sink to what has this name now; what it lacks, where the server did not do it.
async fn repoint(
    context: &Context<'_>,
    deployment: &Deployment,
    sink: &SinkChange,
    to: &Place,
    until: Instant,
    watched: &mut Vec<Watched>,
) -> Result<Option<String>, DeploymentError> {
    let Some(was) = &sink.was else {
        return Ok(None);
    };
    let name = sink.place.to_string();
    let about = About {
        schemas: [to.schema.clone()].into(),
        ..About::default()
    }
    .and_objects([&was.id]);
    let catalog = Catalog::look(context.materialize, &about).await?;
    let Some(found) = catalog.objects.get(&was.id) else {
        let text = said(&name, "is gone; nothing to repoint");
        context.reporter.warning(text);
        return Ok(None);
    };
    let objects = catalog.schema(&to.schema);
    let objects = objects.map(|schema| catalog.objects_in_schema(&schema.id));
    let mut objects = objects.unwrap_or_default().into_iter();
    let Some(wanted) = objects.find(|it| it.name == to.name && it.kind != ObjectKind::Index) else {
        return Ok(Some(said(
            &name,
            &format!("is to read {to}, which is gone"),
        )));
    };
    let reads = (was.id.clone(), wanted.id.clone());
    if !catalog.dependencies.contains(&reads) {
        let Some(present) = catalog.qualified(found, &found.name) else {
            return Ok(Some(said(&name, "lies in a schema that cannot be found")));
        };
        let statement = ddl::alter_sink(&present, &qualified(deployment, to));
        let lacks = tokio::select! {
            lacks = altered(context, &name, &statement, until) => lacks?,
            // Whether the server did it all the same is found by the next look.
            () = context.cancel.cancelled() => {
                context.interrupted(deployment)?;
                None
            }
        };
        if lacks.is_some() {
            return Ok(lacks);
        }
    }
    watched.push((was.id.clone(), name));
    Ok(None)
}
