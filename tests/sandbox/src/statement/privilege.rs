//! GRANT, REVOKE and ALTER DEFAULT PRIVILEGES.

use super::alter::thing;
use super::parser::Parser;
use super::{Ddl, GrantOn, RoleName, Thing};
use crate::catalog::{Mode, ObjectType};
use crate::failure::SqlError;

fn modes(p: &mut Parser<'_>) -> Result<Option<Vec<Mode>>, SqlError> {
    if p.eat("all") {
        p.eat("privileges");
        return Ok(None);
    }
    p.list(|p| {
        let error = p.expected("a privilege");
        Mode::parse(&p.ident()?).ok_or(error)
    })
    .map(Some)
}

fn roles(p: &mut Parser<'_>) -> Result<Vec<RoleName>, SqlError> {
    p.list(|p| {
        p.eat("group");
        if p.peek_word() == Some("public") {
            p.ident()?;
            return Ok(RoleName::Public);
        }
        p.ident().map(RoleName::Named)
    })
}

fn plural(p: &mut Parser<'_>) -> Result<ObjectType, SqlError> {
    const WORDS: [(&str, ObjectType); 7] = [
        ("tables", ObjectType::Table),
        ("types", ObjectType::Type),
        ("secrets", ObjectType::Secret),
        ("connections", ObjectType::Connection),
        ("databases", ObjectType::Database),
        ("schemas", ObjectType::Schema),
        ("clusters", ObjectType::Cluster),
    ];
    match WORDS.iter().find(|(word, _)| p.eat(word)) {
        Some((_, object_type)) => Ok(*object_type),
        None => Err(p.expected(
            "one of TABLES or TYPES or SECRETS or CONNECTIONS or DATABASES or SCHEMAS or CLUSTERS",
        )),
    }
}

/// Whether this is a grant of privileges rather than of membership: only the former has ON.
fn is_privilege(p: &mut Parser<'_>) -> bool {
    let start = p.position();
    let found = p.seek("on");
    p.rewind(start);
    found
}

pub(super) fn grant(p: &mut Parser<'_>) -> Result<Ddl, SqlError> {
    let grant = p.eat("grant");
    if !grant {
        p.expect("revoke")?;
    }
    let to = if grant { "to" } else { "from" };
    if !is_privilege(p) {
        let roles = p.list(Parser::ident)?;
        p.expect(to)?;
        p.eat("group");
        let members = p.list(Parser::ident)?;
        p.end()?;
        return Ok(Ddl::Membership {
            grant,
            roles,
            members,
        });
    }
    let modes = modes(p)?;
    p.expect("on")?;
    let on = if p.eat("system") {
        GrantOn::System
    } else if p.eat("all") {
        let object_type = plural(p)?;
        if p.eat("in schema") {
            GrantOn::AllInSchemas(object_type, p.list(Parser::name)?)
        } else if p.eat("in database") {
            GrantOn::AllInDatabases(object_type, p.list(Parser::name)?)
        } else {
            GrantOn::All(object_type)
        }
    } else {
        let start = p.position();
        let thing = match thing(p) {
            Ok(thing) if p.peek_word() != Some(to) || p.word_at(1) == Some(to) => thing,
            Ok(_) | Err(_) => {
                p.rewind(start);
                Thing::Relation
            }
        };
        GrantOn::Named(thing, p.list(Parser::name)?)
    };
    p.expect(to)?;
    let roles = roles(p)?;
    p.end()?;
    Ok(Ddl::Privileges {
        grant,
        modes,
        on,
        roles,
    })
}

pub(super) fn default_privileges(p: &mut Parser<'_>) -> Result<Ddl, SqlError> {
    p.expect("for")?;
    let creators = if p.eat("all roles") {
        None
    } else {
        if !(p.eat("role") || p.eat("user")) {
            return Err(p.expected("one of ROLE or USER or ALL"));
        }
        Some(p.list(Parser::ident)?)
    };
    let (mut schemas, mut databases) = (Vec::new(), Vec::new());
    if p.eat("in schema") {
        schemas = p.list(Parser::name)?;
    } else if p.eat("in database") {
        databases = p.list(Parser::ident)?;
    }
    let grant = p.eat("grant");
    if !grant {
        p.expect("revoke")?;
    }
    let modes = modes(p)?;
    p.expect("on")?;
    let object_type = plural(p)?;
    p.expect(if grant { "to" } else { "from" })?;
    let grantees = roles(p)?;
    p.end()?;
    Ok(Ddl::DefaultPrivileges {
        creators,
        schemas,
        databases,
        grant,
        modes,
        object_type,
        grantees,
    })
}
