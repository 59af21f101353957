//! ALTER, DROP and COMMENT.

use super::create::cluster_options;
use super::parser::Parser;
use super::{ClusterOptions, Ddl, Thing, privilege};
use crate::catalog::ObjectKind;
use crate::failure::SqlError;

/// The kind of thing named next.
pub(super) fn thing(p: &mut Parser<'_>) -> Result<Thing, SqlError> {
    const WORDS: [(&str, Thing); 15] = [
        ("database", Thing::Database),
        ("schema", Thing::Schema),
        ("cluster replica", Thing::Replica),
        ("cluster", Thing::Cluster),
        ("role", Thing::Role),
        ("user", Thing::Role),
        (
            "materialized view",
            Thing::Object(ObjectKind::MaterializedView),
        ),
        ("view", Thing::Object(ObjectKind::View)),
        ("table", Thing::Object(ObjectKind::Table)),
        ("index", Thing::Object(ObjectKind::Index)),
        ("source", Thing::Object(ObjectKind::Source)),
        ("sink", Thing::Object(ObjectKind::Sink)),
        ("connection", Thing::Object(ObjectKind::Connection)),
        ("secret", Thing::Object(ObjectKind::Secret)),
        ("column", Thing::Column),
    ];
    match WORDS.iter().find(|(words, _)| p.eat(words)) {
        Some((_, thing)) => Ok(*thing),
        None if p.eat("type") => Ok(Thing::Type),
        None => Err(p.expected("a kind of object")),
    }
}

pub(super) fn drop(p: &mut Parser<'_>) -> Result<Ddl, SqlError> {
    p.expect("drop")?;
    if p.eat("owned by") {
        let roles = p.list(Parser::ident)?;
        let cascade = p.eat("cascade");
        p.eat("restrict");
        return Ok(Ddl::DropOwned { roles, cascade });
    }
    let thing = thing(p)?;
    let if_exists = p.eat("if exists");
    let names = p.list(Parser::name)?;
    let cascade = p.eat("cascade");
    let restrict = p.eat("restrict");
    p.end()?;
    Ok(Ddl::Drop {
        thing,
        names,
        if_exists,
        cascade,
        restrict,
    })
}

pub(super) fn alter(p: &mut Parser<'_>) -> Result<Ddl, SqlError> {
    p.expect("alter")?;
    if p.eat("default privileges") {
        return privilege::default_privileges(p);
    }
    let thing = thing(p)?;
    let if_exists = p.eat("if exists");
    let name = p.name()?;
    if p.eat("rename to") {
        let to = p.ident()?;
        p.end()?;
        return Ok(Ddl::Rename {
            thing,
            name,
            to,
            if_exists,
        });
    }
    if p.eat("swap with") {
        let with = p.ident()?;
        p.end()?;
        return Ok(Ddl::Swap { thing, name, with });
    }
    if p.eat("owner to") {
        let to = p.ident()?;
        p.end()?;
        return Ok(Ddl::Owner {
            thing,
            name,
            to,
            if_exists,
        });
    }
    if thing == Thing::Object(ObjectKind::Sink) && p.eat("set from") {
        let from = p.name()?;
        p.end()?;
        return Ok(Ddl::AlterSink { name, from });
    }
    if thing == Thing::Object(ObjectKind::MaterializedView) && p.eat("apply replacement") {
        let replacement = p.name()?;
        p.end()?;
        return Ok(Ddl::ApplyReplacement {
            name,
            replacement,
            if_exists,
        });
    }
    if thing == Thing::Cluster && name.len() == 1 {
        let name = name[0].clone();
        if p.eat("set") {
            // Behind a flag, and refused before anything else.
            if p.clone().seek("wait") {
                return Err(SqlError::internal("WAIT in ALTER CLUSTER is not available"));
            }
            let options = cluster_options(p)?;
            return Ok(Ddl::AlterCluster {
                name,
                options,
                if_exists,
            });
        }
        p.expect("reset")?;
        p.expect_symbol('(')?;
        let reset = p.list(|p| {
            let mut words = vec![p.ident()?];
            while p.peek_word().is_some() {
                words.push(p.ident()?);
            }
            Ok(words.join(" "))
        })?;
        p.expect_symbol(')')?;
        return Ok(Ddl::AlterCluster {
            name,
            options: ClusterOptions {
                reset,
                ..ClusterOptions::default()
            },
            if_exists,
        });
    }
    if p.done() {
        return Err(p.expected("SET, RESET, RENAME, OWNER or SWAP"));
    }
    Ok(Ddl::AlterOption { thing, name })
}

pub(super) fn comment(p: &mut Parser<'_>) -> Result<Ddl, SqlError> {
    p.expect("comment on")?;
    let thing = thing(p)?;
    let name = p.name()?;
    p.expect("is")?;
    let comment = if p.eat("null") { None } else { Some(p.text()?) };
    p.end()?;
    Ok(Ddl::Comment {
        thing,
        name,
        comment,
    })
}
