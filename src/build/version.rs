//! dbt's versions: what `dbt --version` says and what is supported.

use std::fmt;

/// The oldest dbt-core that is supported: the first whose manifest and flags are the ones used here.
pub const CORE_MINIMUM: Number = Number(1, 11, 0);
/// The oldest dbt-materialize that is supported.
pub const ADAPTER_MINIMUM: Number = Number(1, 9, 11);
/// The first major version of either that is not supported.
pub const MAJOR_LIMIT: u32 = 2;
/// What installs a dbt that is supported.
pub const INSTALL: &str = "pip install 'dbt-core==1.11.16' 'dbt-materialize==1.9.11'";

/// Major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub u32, pub u32, pub u32);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Number {
    /// Reads `1.11.16`, `1.12.0rc1`, `2.0.0-preview.3`; what follows the digits of the patch is ignored.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.').map(|part| {
            let end = part
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(part.len());
            part[..end].parse::<u32>().ok()
        });
        let major = parts.next()??;
        Some(Self(
            major,
            parts.next().flatten().unwrap_or(0),
            parts.next().flatten().unwrap_or(0),
        ))
    }
}

/// The versions of a usable dbt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// dbt-core.
    pub core: Number,
    /// dbt-materialize.
    pub adapter: Number,
}

impl Version {
    /// Reads the output of `dbt --version`.
    ///
    /// # Errors
    /// A sentence on why this dbt cannot be used.
    pub fn parse(output: &str) -> Result<Self, String> {
        let lower = output.to_lowercase();
        if lower.contains("fusion") {
            return Err("it is dbt Fusion, which has no Materialize adapter".to_owned());
        }
        if lower.contains("cloud cli") {
            return Err("it is the dbt Cloud CLI, which does not run dbt here".to_owned());
        }
        let core = find(output, "installed")
            .ok_or_else(|| "its `--version` does not tell a version of dbt-core".to_owned())?;
        if core < CORE_MINIMUM || core.0 >= MAJOR_LIMIT {
            return Err(format!(
                "it is dbt-core {core}; {CORE_MINIMUM} or newer, before {MAJOR_LIMIT}.0, is needed"
            ));
        }
        let adapter = find(output, "materialize")
            .ok_or_else(|| "it has no dbt-materialize adapter".to_owned())?;
        if adapter < ADAPTER_MINIMUM || adapter.0 >= MAJOR_LIMIT {
            return Err(format!(
                "it has dbt-materialize {adapter}; {ADAPTER_MINIMUM} or newer, before {MAJOR_LIMIT}.0, is needed"
            ));
        }
        Ok(Self { core, adapter })
    }
}

/// The version on the line `- <name>: <version> …`.
fn find(output: &str, name: &str) -> Option<Number> {
    output.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("- ")?.strip_prefix(name)?;
        Number::parse(rest.strip_prefix(':')?.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::{Number, Version};

    /// As dbt 1.11.16 prints it.
    fn output(core: &str, plugins: &str) -> String {
        format!(
            "Core:\n  - installed: {core}\n  - latest:    1.12.6  - Update available!\n\n  \
             Your version of dbt-core is out of date!\n\nPlugins:\n  - postgres:    1.10.2 - Update available!\n{plugins}\n\n"
        )
    }

    #[test]
    fn a_supported_dbt_is_accepted() {
        let text = output("1.11.16", "  - materialize: 1.9.11 - Up to date!");
        assert_eq!(
            Version::parse(&text),
            Ok(Version {
                core: Number(1, 11, 16),
                adapter: Number(1, 9, 11)
            })
        );
        assert!(Version::parse(&output("1.12.0rc1", "  - materialize: 1.10.0")).is_ok());
    }

    #[test]
    fn an_unusable_dbt_is_refused_with_the_reason() {
        let adapter = "  - materialize: 1.9.11 - Up to date!";
        let cases = [
            (output("1.10.9", adapter), "dbt-core 1.10.9"),
            (output("2.0.0", adapter), "dbt-core 2.0.0"),
            (output("1.11.16", ""), "no dbt-materialize"),
            (
                output("1.11.16", "  - materialize: 1.9.10"),
                "dbt-materialize 1.9.10",
            ),
            (
                output("1.11.16", "  - materialize: 2.0.0"),
                "dbt-materialize 2.0.0",
            ),
            ("dbt-fusion 2.0.0-preview.76".to_owned(), "Fusion"),
            ("dbt Cloud CLI - 0.38.21 (a1b2)".to_owned(), "Cloud CLI"),
            ("Python 3.11".to_owned(), "does not tell"),
            (String::new(), "does not tell"),
        ];
        for (text, reason) in cases {
            let error = Version::parse(&text).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
    }
}
