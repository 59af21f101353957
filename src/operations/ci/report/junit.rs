//! The report as JUnit, as CI platforms show those of test runners: the build, its nodes and its tests.

use super::{NodeState, Report, Verdict};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::io;

/// One case.
struct Case<'a> {
    name: &'a str,
    class: &'a str,
    file: &'a str,
    line: Option<u32>,
    seconds: f64,
    outcome: Outcome<'a>,
}

enum Outcome<'a> {
    Good,
    Bad(&'a str),
    Skipped(&'a str),
}

impl Report {
    /// The report as JUnit.
    ///
    /// # Errors
    /// Never in practice: it is written into memory.
    pub fn junit(&self) -> io::Result<String> {
        let nodes = self.nodes.iter().map(|node| {
            let message = node.message.as_deref().unwrap_or_default();
            Case {
                name: &node.unique_id,
                class: &node.relation,
                file: &node.file,
                line: node.line,
                seconds: node.seconds,
                outcome: match node.state {
                    NodeState::Built | NodeState::Kept | NodeState::Described => Outcome::Good,
                    NodeState::Failed => Outcome::Bad(message),
                    NodeState::Skipped | NodeState::Missing => Outcome::Skipped(message),
                },
            }
        });
        let tests = self.tests.iter().map(|test| Case {
            name: &test.unique_id,
            class: test.model.as_deref().unwrap_or("test"),
            file: &test.file,
            line: None,
            seconds: test.seconds,
            outcome: match test.is_bad() {
                true => Outcome::Bad(test.message.as_deref().unwrap_or(&test.status)),
                false => Outcome::Good,
            },
        });
        let others = self.not_run.iter().map(|(id, why)| Case {
            name: id,
            class: "test",
            file: "",
            line: None,
            seconds: 0.0,
            outcome: Outcome::Skipped(why),
        });
        let build = [Case {
            name: "build",
            class: &self.name,
            file: "",
            line: None,
            seconds: self.seconds,
            outcome: match (&self.error, self.verdict) {
                (Some(error), _) => Outcome::Bad(error),
                (None, Verdict::Passed | Verdict::Failed) => Outcome::Good,
                (
                    None,
                    verdict @ (Verdict::Wrong
                    | Verdict::Refused
                    | Verdict::Away
                    | Verdict::Cancelled),
                ) => Outcome::Bad(verdict.as_str()),
            },
        }];
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let name = format!("cutover ci {}", self.name);
        let root = BytesStart::new("testsuites").with_attributes([("name", name.as_str())]);
        writer.write_event(Event::Start(root))?;
        suite(&mut writer, "build", &build)?;
        suite(&mut writer, "nodes", &nodes.collect::<Vec<_>>())?;
        suite(
            &mut writer,
            "tests",
            &tests.chain(others).collect::<Vec<_>>(),
        )?;
        writer.write_event(Event::End(BytesEnd::new("testsuites")))?;
        String::from_utf8(writer.into_inner()).map_err(io::Error::other)
    }
}

fn suite(writer: &mut Writer<Vec<u8>>, name: &str, cases: &[Case<'_>]) -> io::Result<()> {
    if cases.is_empty() {
        return Ok(());
    }
    let count = |of: fn(&Outcome<'_>) -> bool| {
        let cases = cases.iter().filter(|case| of(&case.outcome));
        cases.count().to_string()
    };
    let seconds: f64 = cases.iter().map(|case| case.seconds).sum();
    let start = BytesStart::new("testsuite").with_attributes([
        ("name", name),
        ("tests", cases.len().to_string().as_str()),
        (
            "failures",
            count(|it| matches!(it, Outcome::Bad(_))).as_str(),
        ),
        (
            "skipped",
            count(|it| matches!(it, Outcome::Skipped(_))).as_str(),
        ),
        ("time", format!("{seconds:.3}").as_str()),
    ]);
    writer.write_event(Event::Start(start))?;
    for case in cases {
        one(writer, case)?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuite")))
}

fn one(writer: &mut Writer<Vec<u8>>, case: &Case<'_>) -> io::Result<()> {
    let mut start = BytesStart::new("testcase").with_attributes([
        ("name", allowed(case.name).as_str()),
        ("classname", allowed(case.class).as_str()),
        ("time", format!("{:.3}", case.seconds).as_str()),
    ]);
    if !case.file.is_empty() {
        start.push_attribute(("file", allowed(case.file).as_str()));
    }
    if let Some(line) = case.line {
        start.push_attribute(("line", line.to_string().as_str()));
    }
    let (tag, message) = match case.outcome {
        Outcome::Good => return writer.write_event(Event::Empty(start)),
        Outcome::Bad(message) => ("failure", allowed(message)),
        Outcome::Skipped(message) => ("skipped", allowed(message)),
    };
    writer.write_event(Event::Start(start))?;
    let first = message.lines().next().unwrap_or_default();
    let inner = BytesStart::new(tag).with_attributes([("message", first)]);
    writer.write_event(Event::Start(inner))?;
    writer.write_event(Event::Text(BytesText::new(&message)))?;
    writer.write_event(Event::End(BytesEnd::new(tag)))?;
    writer.write_event(Event::End(BytesEnd::new("testcase")))
}

/// The characters that XML 1.0 knows.
fn allowed(text: &str) -> String {
    let is_known = |c: &char| {
        (!c.is_control() || matches!(c, '\n' | '\t')) && !matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    text.chars().filter(is_known).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use quick_xml::Reader;
    use quick_xml::events::Event;
    use std::collections::BTreeMap;

    /// Tags with how often they stand there.
    fn tags(xml: &str) -> BTreeMap<String, usize> {
        let mut reader = Reader::from_str(xml);
        let mut tags = BTreeMap::new();
        loop {
            match reader.read_event().expect("XML") {
                Event::Start(tag) | Event::Empty(tag) => {
                    let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
                    *tags.entry(name).or_default() += 1;
                }
                Event::Eof => return tags,
                Event::Text(_)
                | Event::GeneralRef(_)
                | Event::End(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_) => {}
            }
        }
    }

    #[test]
    fn platforms_read_what_failed() {
        let mut report = sample::bad();
        report.nodes[1].message = Some("a\u{1}<b> & c".to_owned());
        let xml = report.junit().expect("written");
        let tags = tags(&xml);
        for (tag, count) in [
            ("testsuites", 1),
            ("testsuite", 3),
            ("testcase", 7),
            ("failure", 2),
            ("skipped", 2),
        ] {
            assert_eq!(tags.get(tag), Some(&count), "{tag}\n{xml}");
        }
        assert!(xml.contains(">a&lt;b&gt; &amp; c<"), "{xml}");
        assert!(xml.contains("line=\"3\""), "{xml}");
    }

    #[test]
    fn what_ended_before_its_end_is_a_failure() {
        let mut report = sample::good();
        let xml = report.junit().expect("written");
        assert_eq!(tags(&xml).get("failure"), None);
        report.error = Some("the server is away".to_owned());
        let xml = report.junit().expect("written");
        assert_eq!(tags(&xml).get("failure"), Some(&1));
    }
}
