//! dbt's versions: what `dbt --version` says and what is supported.

use std::fmt;

/// The oldest dbt-core that is supported: the first whose manifest and flags are the ones used here.
pub const CORE_MINIMUM: Number = Number(1, 11, 0);
/// The oldest dbt-materialize that is supported.
pub const ADAPTER_MINIMUM: Number = Number(1, 9, 11);
/// The first major version of either that is not supported.
pub const MAJOR_LIMIT: u32 = 2;
/// What installs a dbt that is supported.
pub const INSTALL: &str = "pip install 'dbt-core~=1.11' 'dbt-materialize~=1.9'";

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
    /// The versions in these two texts, as they print.
    #[must_use]
    pub fn of(core: &str, adapter: &str) -> Option<Self> {
        Some(Self {
            core: Number::parse(core)?,
            adapter: Number::parse(adapter)?,
        })
    }

    /// Reads the output of `dbt --version`.
    ///
    /// # Errors
    /// A sentence on why this dbt cannot be used.
    pub fn parse(output: &str) -> Result<Self, String> {
        let lower = output.to_lowercase();
        let core = find(output, "installed");
        // Where dbt-core 1 speaks of its successor it does so below its table.
        if let Some(engine) = second_line(&lower).filter(|_| core.is_none()) {
            return Err(format!(
                "it is {engine}, for which there is no dbt-materialize; dbt-core 1.x is needed, {CORE_MINIMUM} or newer"
            ));
        }
        if lower.contains("cloud cli") {
            return Err("it is the dbt Cloud CLI, which does not run dbt here".to_owned());
        }
        let core =
            core.ok_or_else(|| "its `--version` does not tell a version of dbt-core".to_owned())?;
        if core.0 >= MAJOR_LIMIT {
            return Err(format!(
                "it is dbt-core {core}, for which there is no dbt-materialize; dbt-core 1.x is needed, {CORE_MINIMUM} or newer"
            ));
        }
        if core < CORE_MINIMUM {
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

/// The engine of dbt 2 by the name that it gives itself: it prints `dbt-fusion 2.0.0-preview.76`, where
/// dbt-core 1 prints a table.
fn second_line(lower: &str) -> Option<String> {
    lower.lines().find_map(|line| {
        let (name, version) = line.trim().split_once(' ')?;
        let is_engine = ["dbt", "dbt-core", "dbt-fusion", "dbtf"].contains(&name);
        let version = version.trim().trim_start_matches('v');
        let is_second = Number::parse(version).is_some_and(|number| number.0 >= MAJOR_LIMIT);
        let version = version.split_whitespace().next()?;
        (is_engine && is_second).then(|| format!("{name} {version}"))
    })
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
        // 1.12.6 speaks of its successor.
        let text = output("1.12.6", "  - materialize: 1.9.11 - Up to date!")
            + "\x1b[0m18:15:54  dbt v2 is available, and is the default for new installations. \
               This is dbt Core v1.\n          New project - install v2: https://docs.getdbt.com/\n\
               dbt v2 (Fusion) is faster\n";
        assert_eq!(
            Version::parse(&text).map(|version| version.core),
            Ok(Number(1, 12, 6))
        );
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
            (
                "dbt-fusion 2.0.0-preview.76".to_owned(),
                "it is dbt-fusion 2.0.0-preview.76, for which there is no dbt-materialize; dbt-core 1.x",
            ),
            ("dbt 2.0.8 (abc)\n".to_owned(), "it is dbt 2.0.8, for which"),
            ("dbt-core v2.0.8".to_owned(), "it is dbt-core 2.0.8, for"),
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
