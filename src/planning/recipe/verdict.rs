//! What a test found, and what that means (`dbt/task/test.py`).

use crate::inputs::manifest::run_results::Status;
use crate::planning::recipe::document::{Severity, TestItem};

/// The one row that a test gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// How much failed.
    pub failures: u64,
    /// Whether that is a warning.
    pub should_warn: bool,
    /// Whether that is a failure.
    pub should_error: bool,
}

impl Counted {
    /// The row as the server wrote it: failures, `should_warn`, `should_error`.
    ///
    /// # Errors
    /// What is no number or no truth value, one clause.
    pub fn read(row: [Option<&str>; 3]) -> Result<Self, String> {
        let [failures, should_warn, should_error] = row;
        let truth = |name: &str, text: Option<&str>| match text {
            Some("t" | "true") => Ok(true),
            Some("f" | "false") => Ok(false),
            other => Err(format!("the test gave {other:?} for {name}")),
        };
        // Python's `int()` cuts decimals off.
        let number = failures.map(|text| text.split('.').next().unwrap_or(text));
        let number = number.and_then(|text| text.parse().ok());
        Ok(Self {
            failures: number.ok_or_else(|| format!("the test gave {failures:?} for failures"))?,
            should_warn: truth("should_warn", should_warn)?,
            should_error: truth("should_error", should_error)?,
        })
    }

    /// The verdict, dbt's words for it, and the failures that are reported.
    #[must_use]
    pub fn verdict(self, test: &TestItem) -> (Status, Option<String>, u64) {
        let plural = if self.failures == 1 { "" } else { "s" };
        let got = format!("Got {} result{plural}", self.failures);
        if test.severity == Severity::Error && self.should_error {
            let message = format!("{got}, configured to fail if {}", test.error_if);
            (Status::Fail, Some(message), self.failures)
        } else if self.should_warn {
            let message = format!("{got}, configured to warn if {}", test.warn_if);
            (Status::Warn, Some(message), self.failures)
        } else {
            (Status::Pass, None, 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(severity: Severity) -> TestItem {
        TestItem {
            unique_id: "test.a.b".to_owned(),
            query: "select 1".to_owned(),
            cluster: "c".to_owned(),
            fail_calc: "count(*)".to_owned(),
            warn_if: "> 0".to_owned(),
            error_if: "> 10".to_owned(),
            limit: None,
            severity,
            stored: None,
        }
    }

    #[test]
    fn a_row_is_judged_as_dbt_judges_it() {
        let row = |failures, warn, error| Counted::read([Some(failures), Some(warn), Some(error)]);
        let verdict =
            |row: Result<Counted, String>, severity| row.map(|row| row.verdict(&test(severity)));
        for (counted, severity, expected) in [
            (row("0", "f", "f"), Severity::Error, (Status::Pass, None, 0)),
            (
                row("1", "t", "f"),
                Severity::Error,
                (
                    Status::Warn,
                    Some("Got 1 result, configured to warn if > 0"),
                    1,
                ),
            ),
            (
                row("11", "t", "t"),
                Severity::Error,
                (
                    Status::Fail,
                    Some("Got 11 results, configured to fail if > 10"),
                    11,
                ),
            ),
            (
                row("11", "t", "t"),
                Severity::Warn,
                (
                    Status::Warn,
                    Some("Got 11 results, configured to warn if > 0"),
                    11,
                ),
            ),
            // What fails and does not warn is no failure of a test that only warns.
            (
                row("2.5", "f", "t"),
                Severity::Warn,
                (Status::Pass, None, 0),
            ),
        ] {
            let (status, message, failures) = expected;
            let expected = (status, message.map(str::to_owned), failures);
            assert_eq!(verdict(counted, severity), Ok(expected));
        }
        for row in [
            [None, Some("t"), Some("t")],
            [Some("-1"), Some("t"), Some("t")],
            [Some("1"), None, Some("t")],
            [Some("1"), Some("t"), Some("maybe")],
        ] {
            assert!(Counted::read(row).is_err(), "{row:?}");
        }
    }
}
