//! Names and places as the platforms tell them, by the variables that they set.
//!
//! Sources: "Default environment variables" of GitHub Actions; "Predefined CI/CD variables reference" of GitLab;
//! "Environment variables" of Buildkite; "Project values and variables" of CircleCI; the branch API of Jenkins
//! (`CHANGE_ID`); "Predefined variables" of Azure Pipelines.

use crate::foundation::word::words;
use std::collections::BTreeMap;

words! {
    /// Where a pull request is built.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Platform {
        /// GitHub Actions.
        GitHub = "GitHub",
        /// GitLab CI/CD.
        GitLab = "GitLab",
        /// Buildkite.
        Buildkite = "Buildkite",
        /// CircleCI.
        CircleCi = "CircleCI",
        /// Jenkins.
        Jenkins = "Jenkins",
        /// Azure Pipelines.
        Azure = "Azure",
    }
}

/// What a platform says of a build. What it does not say is `None`; that is also so of builds that are of no pull
/// request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// Which platform.
    pub platform: Platform,
    /// What the corner is called: `pr-<number>`, of GitLab `mr-<number>`.
    pub name: Option<String>,
    /// The branch that the request goes to, or a commit of it.
    pub base: Option<String>,
    /// The commit that is built.
    pub revision: Option<String>,
    /// Who is behind it.
    pub owner: Option<String>,
}

/// The name under which the platform keeps the commit that is built, where that is the merge of a request: on no branch
/// there is that commit, and under the name it can be told whose it is.
#[must_use]
pub fn reference(variables: &BTreeMap<String, String>) -> Option<String> {
    let names = ["GITHUB_REF", "CI_MERGE_REQUEST_REF_PATH"];
    let names = names.iter().filter_map(|name| variables.get(*name));
    let mut merges = names.filter(|name| {
        let is_request = ["refs/pull/", "refs/merge-requests/"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        is_request && name.ends_with("/merge")
    });
    merges.next().cloned()
}

/// What the variables of the environment say; `None` on no known platform.
#[must_use]
pub fn detect(variables: &BTreeMap<String, String>) -> Option<Detected> {
    let get = |name: &str| {
        let value = variables.get(name).map(|value| value.trim());
        value.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let any = |names: &[&str]| names.iter().find_map(|name| get(name));
    let is_true = |name: &str| get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let number = |kind: &str, number: Option<String>| {
        let number = number.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        number.map(|number| format!("{kind}-{number}"))
    };
    let detected = if is_true("GITHUB_ACTIONS") {
        let reference = get("GITHUB_REF").unwrap_or_default();
        let pull = reference.strip_prefix("refs/pull/");
        let pull = pull
            .and_then(|rest| rest.split('/').next())
            .map(str::to_owned);
        Detected {
            platform: Platform::GitHub,
            name: number("pr", pull),
            base: get("GITHUB_BASE_REF"),
            revision: get("GITHUB_SHA"),
            owner: get("GITHUB_ACTOR"),
        }
    } else if is_true("GITLAB_CI") {
        Detected {
            platform: Platform::GitLab,
            name: number("mr", get("CI_MERGE_REQUEST_IID")),
            base: any(&[
                "CI_MERGE_REQUEST_DIFF_BASE_SHA",
                "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
            ]),
            revision: get("CI_COMMIT_SHA"),
            owner: get("GITLAB_USER_LOGIN"),
        }
    } else if is_true("BUILDKITE") {
        Detected {
            platform: Platform::Buildkite,
            // `false` where it is none.
            name: number("pr", get("BUILDKITE_PULL_REQUEST")),
            base: get("BUILDKITE_PULL_REQUEST_BASE_BRANCH"),
            revision: get("BUILDKITE_COMMIT"),
            owner: get("BUILDKITE_BUILD_CREATOR"),
        }
    } else if is_true("CIRCLECI") {
        let url = get("CIRCLE_PULL_REQUEST");
        let last = url.and_then(|url| url.rsplit('/').next().map(str::to_owned));
        Detected {
            platform: Platform::CircleCi,
            name: number("pr", get("CIRCLE_PR_NUMBER").or(last)),
            base: None,
            revision: get("CIRCLE_SHA1"),
            owner: get("CIRCLE_USERNAME"),
        }
    } else if is_true("TF_BUILD") {
        let branch = get("SYSTEM_PULLREQUEST_TARGETBRANCH");
        let branch = branch.map(|branch| match branch.strip_prefix("refs/heads/") {
            Some(short) => short.to_owned(),
            None => branch,
        });
        Detected {
            platform: Platform::Azure,
            name: number(
                "pr",
                any(&[
                    "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER",
                    "SYSTEM_PULLREQUEST_PULLREQUESTID",
                ]),
            ),
            base: branch,
            revision: get("BUILD_SOURCEVERSION"),
            owner: get("BUILD_REQUESTEDFOR"),
        }
    } else if get("JENKINS_URL").is_some() {
        Detected {
            platform: Platform::Jenkins,
            name: number("pr", get("CHANGE_ID")),
            base: get("CHANGE_TARGET"),
            revision: get("GIT_COMMIT"),
            owner: get("CHANGE_AUTHOR"),
        }
    } else {
        return None;
    };
    Some(detected)
}

#[cfg(test)]
pub(in crate::operations::ci) mod tests {
    use super::{Platform, detect};
    use std::collections::BTreeMap;

    /// Variables of an environment.
    pub(in crate::operations::ci) fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn each_platform_says_which_request_it_is() {
        for (platform, set, name, base) in [
            (
                Platform::GitHub,
                &[
                    ("GITHUB_ACTIONS", "true"),
                    ("GITHUB_REF", "refs/pull/123/merge"),
                    ("GITHUB_BASE_REF", "main"),
                ][..],
                Some("pr-123"),
                Some("main"),
            ),
            (
                Platform::GitHub,
                &[
                    ("GITHUB_ACTIONS", "true"),
                    ("GITHUB_REF", "refs/heads/main"),
                ],
                None,
                None,
            ),
            (
                Platform::GitLab,
                &[
                    ("GITLAB_CI", "true"),
                    ("CI_MERGE_REQUEST_IID", "7"),
                    ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
                    ("CI_MERGE_REQUEST_DIFF_BASE_SHA", "abc"),
                ],
                Some("mr-7"),
                Some("abc"),
            ),
            (
                Platform::Buildkite,
                &[
                    ("BUILDKITE", "true"),
                    ("BUILDKITE_PULL_REQUEST", "8"),
                    ("BUILDKITE_PULL_REQUEST_BASE_BRANCH", "trunk"),
                ],
                Some("pr-8"),
                Some("trunk"),
            ),
            (
                Platform::Buildkite,
                &[("BUILDKITE", "true"), ("BUILDKITE_PULL_REQUEST", "false")],
                None,
                None,
            ),
            (
                Platform::CircleCi,
                &[
                    ("CIRCLECI", "true"),
                    ("CIRCLE_PULL_REQUEST", "https://example.com/o/r/pull/9"),
                ],
                Some("pr-9"),
                None,
            ),
            (
                Platform::Jenkins,
                &[
                    ("JENKINS_URL", "http://x"),
                    ("CHANGE_ID", "10"),
                    ("CHANGE_TARGET", "main"),
                ],
                Some("pr-10"),
                Some("main"),
            ),
            (
                Platform::Azure,
                &[
                    ("TF_BUILD", "True"),
                    ("SYSTEM_PULLREQUEST_PULLREQUESTID", "11"),
                    ("SYSTEM_PULLREQUEST_TARGETBRANCH", "refs/heads/main"),
                ],
                Some("pr-11"),
                Some("main"),
            ),
        ] {
            let found = detect(&variables(set)).expect("a platform");
            assert_eq!(found.platform, platform);
            assert_eq!(
                (found.name.as_deref(), found.base.as_deref()),
                (name, base),
                "{platform:?}"
            );
        }
        assert_eq!(detect(&variables(&[("CI", "true")])), None);
    }
}
