//! The expressions of workflows and of GitLab's rules, as far as the files here use them.

use serde_json::Value;

/// What names mean.
pub trait Names {
    /// The value of a name; `None` where the platform does not know it, which is a mistake in the file.
    fn value(&self, name: &str) -> Option<Value>;
    /// The value of a function without arguments.
    fn call(&self, name: &str) -> Option<bool>;
}

/// What an expression is worth.
pub fn evaluate(text: &str, names: &impl Names) -> Value {
    let mut parser = Parser {
        tokens: tokens(text),
        at: 0,
        names,
        text,
    };
    let value = parser.any();
    assert_eq!(parser.at, parser.tokens.len(), "there is more in {text:?}");
    value
}

/// Whether a condition holds.
pub fn holds(text: &str, names: &impl Names) -> bool {
    truth(&evaluate(text, names))
}

/// Whether a condition asks itself how the steps before ended.
pub fn asks_for_success(text: &str) -> bool {
    ["always()", "success()", "failure()", "cancelled()"]
        .iter()
        .any(|name| text.contains(name))
}

/// A text with its `${{ … }}` replaced.
pub fn interpolate(text: &str, names: &impl Names) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, more)) = rest.split_once("${{") {
        let (inside, after) = more.split_once("}}").expect("an end");
        out.push_str(before);
        out.push_str(&shown(&evaluate(inside, names)));
        rest = after;
    }
    out + rest
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => panic!("{value} is no text"),
    }
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(_) | Value::Object(_) => true,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Text(String),
    Sign(&'static str),
}

const SIGNS: [&str; 7] = ["&&", "||", "==", "!=", "!", "(", ")"];

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
        let length = match (sign, first) {
            (Some(sign), _) => {
                tokens.push(Token::Sign(sign));
                sign.len()
            }
            (None, '\'' | '"') => {
                let inside = rest[1..].split(first).next().expect("a text");
                tokens.push(Token::Text(inside.to_owned()));
                inside.len() + 2
            }
            (None, _) => {
                let is_of_name = |c: char| c.is_ascii_alphanumeric() || "._-$".contains(c);
                let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
                assert!(end > 0, "{rest:?} is not understood");
                tokens.push(Token::Name(rest[..end].to_owned()));
                end
            }
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

struct Parser<'a, N> {
    tokens: Vec<Token>,
    at: usize,
    names: &'a N,
    text: &'a str,
}

impl<N: Names> Parser<'_, N> {
    fn takes(&mut self, sign: &'static str) -> bool {
        let is_next = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(is_next);
        is_next
    }

    fn any(&mut self) -> Value {
        let mut value = self.all();
        while self.takes("||") {
            let other = self.all();
            value = if truth(&value) { value } else { other };
        }
        value
    }

    fn all(&mut self) -> Value {
        let mut value = self.compared();
        while self.takes("&&") {
            let other = self.compared();
            value = if truth(&value) { other } else { value };
        }
        value
    }

    fn compared(&mut self) -> Value {
        let value = self.single();
        let equal = |a: &Value, b: &Value| shown(a) == shown(b);
        if self.takes("==") {
            let other = self.single();
            return Value::Bool(equal(&value, &other));
        }
        if self.takes("!=") {
            let other = self.single();
            return Value::Bool(!equal(&value, &other));
        }
        value
    }

    fn single(&mut self) -> Value {
        if self.takes("!") {
            let value = self.single();
            return Value::Bool(!truth(&value));
        }
        if self.takes("(") {
            let value = self.any();
            assert!(self.takes(")"), "{:?} has no end", self.text);
            return value;
        }
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        match token {
            Some(Token::Text(text)) => Value::String(text),
            Some(Token::Name(name)) if self.takes("(") => {
                assert!(self.takes(")"), "{name} has arguments");
                let called = self.names.call(&name);
                Value::Bool(
                    called.unwrap_or_else(|| panic!("no function {name} in {:?}", self.text)),
                )
            }
            Some(Token::Name(name)) => {
                let value = self.names.value(&name);
                value.unwrap_or_else(|| panic!("no value {name} in {:?}", self.text))
            }
            Some(Token::Sign(_)) | None => panic!("{:?} is not understood", self.text),
        }
    }
}

struct Sample;

impl Names for Sample {
    fn value(&self, name: &str) -> Option<Value> {
        match name {
            "a.b-c" | "$A" => Some(Value::String("x".to_owned())),
            "none" => Some(Value::Null),
            _ => None,
        }
    }

    fn call(&self, name: &str) -> Option<bool> {
        (name == "always").then_some(true)
    }
}

#[test]
fn expressions_are_worth_what_the_platforms_say() {
    for (text, expected) in [
        ("a.b-c == 'x'", true),
        ("$A != \"x\"", false),
        ("always() && none", false),
        ("none || (a.b-c && !none)", true),
        ("none == ''", true),
        ("'a' && '' || 'b'", true),
    ] {
        assert_eq!(holds(text, &Sample), expected, "{text}");
    }
    assert_eq!(
        interpolate("<${{ a.b-c }}${{ none || 'y' }}>", &Sample),
        "<xy>"
    );
}

#[test]
#[should_panic(expected = "no value typo")]
fn a_name_that_is_none_is_a_mistake() {
    evaluate("typo == ''", &Sample);
}
