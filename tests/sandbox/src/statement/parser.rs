//! A cursor over the tokens of one statement.

use super::Name;
use crate::failure::SqlError;
use crate::lexer::{self, Kind, Token};

/// The cursor.
#[derive(Debug, Clone)]
pub(super) struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Token>,
    at: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(source: &'a str) -> Result<Self, SqlError> {
        Ok(Self {
            source,
            tokens: lexer::tokens(source)?,
            at: 0,
        })
    }

    pub(super) fn source(&self) -> &'a str {
        self.source
    }

    pub(super) fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.at).map(|t| &t.kind)
    }

    pub(super) fn peek_word(&self) -> Option<&str> {
        self.word_at(0)
    }

    pub(super) fn word_at(&self, ahead: usize) -> Option<&str> {
        match self.tokens.get(self.at + ahead).map(|t| &t.kind) {
            Some(Kind::Word(word)) => Some(word),
            Some(Kind::Quoted(_) | Kind::Text(_) | Kind::Number(_) | Kind::Symbol(_)) | None => {
                None
            }
        }
    }

    pub(super) fn done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// The next token as an error message names it.
    pub(super) fn found(&self) -> String {
        match self.peek() {
            None => "EOF".into(),
            Some(Kind::Word(word)) => word.to_uppercase(),
            Some(Kind::Quoted(name)) => format!("identifier \"{name}\""),
            Some(Kind::Text(text)) => format!("string literal '{text}'"),
            Some(Kind::Number(number)) => format!("number \"{number}\""),
            Some(Kind::Symbol(symbol)) => format!("\"{symbol}\""),
        }
    }

    pub(super) fn expected(&self, what: &str) -> SqlError {
        SqlError::syntax(format!("Expected {what}, found {}", self.found()))
    }

    pub(super) fn next(&mut self) -> Option<Kind> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        Some(token.kind.clone())
    }

    /// Takes all of the words if they come next.
    pub(super) fn eat(&mut self, words: &str) -> bool {
        let all = words
            .split(' ')
            .enumerate()
            .all(|(n, word)| self.word_at(n) == Some(word));
        if all {
            self.at += words.split(' ').count();
        }
        all
    }

    pub(super) fn expect(&mut self, words: &str) -> Result<(), SqlError> {
        if self.eat(words) {
            Ok(())
        } else {
            Err(self.expected(&words.to_uppercase()))
        }
    }

    pub(super) fn eat_symbol(&mut self, symbol: char) -> bool {
        let found = self.peek() == Some(&Kind::Symbol(symbol));
        if found {
            self.at += 1;
        }
        found
    }

    pub(super) fn expect_symbol(&mut self, symbol: char) -> Result<(), SqlError> {
        if self.eat_symbol(symbol) {
            Ok(())
        } else {
            Err(self.expected(&format!("\"{symbol}\"")))
        }
    }

    pub(super) fn ident(&mut self) -> Result<String, SqlError> {
        match self.peek() {
            Some(Kind::Word(name) | Kind::Quoted(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            Some(Kind::Text(_) | Kind::Number(_) | Kind::Symbol(_)) | None => {
                Err(self.expected("identifier"))
            }
        }
    }

    pub(super) fn name(&mut self) -> Result<Name, SqlError> {
        let mut name = vec![self.ident()?];
        while self.eat_symbol('.') {
            name.push(self.ident()?);
        }
        Ok(name)
    }

    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let mut out = vec![item(self)?];
        while self.eat_symbol(',') {
            out.push(item(self)?);
        }
        Ok(out)
    }

    pub(super) fn text(&mut self) -> Result<String, SqlError> {
        match self.peek() {
            Some(Kind::Text(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok(text)
            }
            Some(Kind::Word(_) | Kind::Quoted(_) | Kind::Number(_) | Kind::Symbol(_)) | None => {
                Err(self.expected("literal string"))
            }
        }
    }

    /// A value as options take it: a string, a number, a word, perhaps negative.
    pub(super) fn value(&mut self) -> Result<String, SqlError> {
        let minus = self.eat_symbol('-');
        match self.next() {
            Some(Kind::Text(v) | Kind::Number(v) | Kind::Word(v) | Kind::Quoted(v)) => {
                Ok(if minus { format!("-{v}") } else { v })
            }
            Some(Kind::Symbol(_)) | None => {
                self.at = self.at.saturating_sub(1);
                Err(self.expected("option value"))
            }
        }
    }

    /// Text between the parentheses that open here, without them.
    pub(super) fn parenthesised(&mut self) -> Result<&'a str, SqlError> {
        self.expect_symbol('(')?;
        let start = self.tokens[self.at - 1].end;
        let mut depth = 1;
        while let Some(kind) = self.next() {
            match kind {
                Kind::Symbol('(') => depth += 1,
                Kind::Symbol(')') => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(&self.source[start..self.tokens[self.at - 1].start]);
                    }
                }
                Kind::Symbol(_)
                | Kind::Word(_)
                | Kind::Quoted(_)
                | Kind::Text(_)
                | Kind::Number(_) => {}
            }
        }
        Err(self.expected("\")\""))
    }

    /// The source from here to the end.
    pub(super) fn rest(&mut self) -> &'a str {
        let start = self
            .tokens
            .get(self.at)
            .map_or(self.source.len(), |t| t.start);
        self.at = self.tokens.len();
        self.source[start..].trim_end()
    }

    /// Moves to just behind the next occurrence of the words; stays if there is none.
    pub(super) fn seek(&mut self, words: &str) -> bool {
        let start = self.at;
        while !self.done() {
            if self.eat(words) {
                return true;
            }
            self.at += 1;
        }
        self.at = start;
        false
    }

    pub(super) fn end(&self) -> Result<(), SqlError> {
        if self.done() {
            Ok(())
        } else {
            Err(self.expected("end of statement"))
        }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn rewind(&mut self, position: usize) {
        self.at = position;
    }
}
