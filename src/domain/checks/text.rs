//! `{{ deployment }}`, `{{ environment }}` and `{{ green("schema") }}` in addresses, queries and bodies.

use super::Side;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use std::sync::Arc;

/// Into what a value is put, so that it can be no more than a value there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// An address: every byte but letters, digits and `-._~` as `%XX`.
    Url,
    /// The inside of a text of PromQL: quotes, backslashes and control characters as escapes.
    PromQl,
    /// The inside of a text of JSON.
    Json,
}

impl Encoding {
    fn encoded(self, value: &str) -> String {
        match self {
            Self::Url => value.bytes().map(in_url).collect(),
            Self::PromQl => value.chars().map(in_promql).collect(),
            Self::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
        }
    }
}

fn in_url(byte: u8) -> String {
    match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

/// A quote of another kind may not stand behind a backslash, its number may.
fn in_promql(c: char) -> String {
    match c {
        '\\' => "\\\\".to_owned(),
        '"' | '\'' | '`' => format!("\\x{:02x}", u32::from(c)),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    }
}

/// What a text may name.
#[derive(Debug, Clone)]
pub struct Naming {
    /// The deployment's id.
    pub deployment: String,
    /// The environment.
    pub environment: String,
}

/// Renders a text. `schemas` gives what a schema is called on a side at present.
///
/// # Errors
/// What is wrong with the template, in one sentence.
pub fn text(
    template: &str,
    encoding: Encoding,
    naming: &Naming,
    schemas: impl Fn(Side, &str) -> String + Send + Sync + 'static,
) -> Result<String, String> {
    let mut jinja = Environment::new();
    jinja.set_undefined_behavior(UndefinedBehavior::Strict);
    // What is printed is encoded, whatever was done to it before.
    jinja.set_auto_escape_callback(|_| minijinja::AutoEscape::Custom("encoded"));
    jinja.set_formatter(move |out, _, value| match value.as_str() {
        Some(text) => Ok(out.write_str(&encoding.encoded(text))?),
        None => Err(Error::new(
            ErrorKind::InvalidOperation,
            "only texts are printed: deployment, environment, green(\"schema\") and blue(\"schema\")",
        )),
    });
    jinja.add_global("deployment", Value::from(naming.deployment.as_str()));
    jinja.add_global("environment", Value::from(naming.environment.as_str()));
    let schemas = Arc::new(schemas);
    for side in [Side::Green, Side::Blue] {
        let schemas = Arc::clone(&schemas);
        jinja.add_function(side.as_str(), move |schema: String| schemas(side, &schema));
    }
    jinja
        .render_str(template, ())
        .map_err(|error| super::template::reason(&error))
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Naming, text};

    fn rendered(template: &str, encoding: Encoding) -> Result<String, String> {
        let naming = Naming {
            deployment: "0-1".to_owned(),
            environment: "a/b \"c' \\`\n&ü".to_owned(),
        };
        text(template, encoding, &naming, |side, schema| {
            format!("{schema}_{side}")
        })
    }

    #[test]
    fn values_are_no_more_than_values() {
        let in_url = rendered(
            "https://h/{{ environment }}?d={{ deployment }}",
            Encoding::Url,
        );
        assert_eq!(
            in_url.as_deref(),
            Ok("https://h/a%2Fb%20%22c%27%20%5C%60%0A%26%C3%BC?d=0-1")
        );
        let query = "lag{schema=\"{{ green('m\"x') }}\", e='{{ environment }}'}";
        assert_eq!(
            rendered(query, Encoding::PromQl).as_deref(),
            Ok("lag{schema=\"m\\x22x_green\", e='a/b \\x22c\\x27 \\\\\\x60\\u000a&ü'}")
        );
        let body = rendered("{\"e\": \"{{ environment }}\"}", Encoding::Json).expect("a body");
        let read: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(read["e"], "a/b \"c' \\`\n&ü");
        let blue = rendered("{{ blue(\"m\") | upper }}", Encoding::Url);
        assert_eq!(blue.as_deref(), Ok("M_BLUE"));
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        for template in [
            "{{ secret }}",
            "{{ green() }}",
            "{{ green }}",
            "{{",
            "{{ 1 }}",
        ] {
            assert!(rendered(template, Encoding::Url).is_err(), "{template}");
        }
        // Marking it as safe makes no difference.
        let safe = rendered("{{ environment | safe }}", Encoding::Url);
        assert!(safe.is_ok_and(|text| text.starts_with("a%2F")));
    }
}
