#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use super::*;
use crate::foundation::environment::Environment;
use crate::inputs::project::jinja::{Scope, Variables};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn find(&self) -> Result<Packages, Error> {
        let environment: Environment = [("U", "x.y"), ("DBT_ENV_SECRET_T", "tok")]
            .into_iter()
            .collect();
        let renderer = Renderer::new(&environment, &Variables::new(), Scope::Profile);
        let install = self.0.path().join("dbt_packages");
        Packages::find(self.0.path(), &install, &renderer)
    }

    fn differences(&self) -> Vec<String> {
        self.find().unwrap().differences
    }
}

/// As dbt-core 1.11.16 and 1.12.6 hash it.
const LIST: &str = r#"
packages:
  - package: dbt-labs/dbt_utils
    version: 1.3.0
  - package: dbt-labs/codegen
    version: [">=0.8.0", "<0.10.0"]
    install_prerelease: true
  - package: a/b
    version: 1.0
  - package: a/é"c
    version: "{{ env_var('U') }}"
  - git: "https://{{ env_var('DBT_ENV_SECRET_T') }}@x/y.git"
    revision: 1.0
    warn-unpinned: false
    subdirectory: s
  - git: z
    revision: abc
  - local: ../lib
  - tarball: https://t
    name: tt
  - private: o/r
    provider: github
    revision: main
  - local: ../lib
    name: q
"#;

#[test]
fn a_list_has_the_hash_that_dbt_gives_it() {
    let place = Place::new();
    let environment: Environment = [("U", "x.y"), ("DBT_ENV_SECRET_T", "tok")]
        .into_iter()
        .collect();
    let renderer = Renderer::new(&environment, &Variables::new(), Scope::Profile);
    let hash = |text: &str| {
        place.write("packages.yml", text);
        Listed::read(place.0.path(), &renderer).unwrap().hash
    };
    assert_eq!(
        hash(LIST).as_deref(),
        Some("89785f780f988e424309120e399d10f54cb9e0b3")
    );
    assert_eq!(
        hash("packages: []").as_deref(),
        Some("da39a3ee5e6b4b0d3255bfef95601890afd80709")
    );
    // dbt refuses both, so nothing is known.
    assert_eq!(hash("packages: [{git: x, revisoin: y}]"), None);
    assert_eq!(hash("packages: [{git: \"{{ env_var('NOPE') }}\"}]"), None);
}

const UTILS: &str = "packages:\n  - package: dbt-labs/dbt_utils\n    version: 1.3.0\n";

/// A lock as dbt writes it for [`UTILS`].
const LOCK: &str = "packages:\n  - name: dbt_utils\n    package: dbt-labs/dbt_utils\n    version: 1.3.0\nsha1_hash: HASH\n";

fn locked(place: &Place) -> &Place {
    let environment = Environment::default();
    let renderer = Renderer::new(&environment, &Variables::new(), Scope::Profile);
    place.write("packages.yml", UTILS);
    let hash = Listed::read(place.0.path(), &renderer)
        .unwrap()
        .hash
        .unwrap();
    place.write("package-lock.yml", &LOCK.replace("HASH", &hash))
}

#[test]
fn installed_packages_are_compared_by_what_they_are() {
    let place = Place::new();
    assert!(!place.find().unwrap().needs_install());
    locked(&place);
    assert_eq!(
        place.differences(),
        ["dbt_utils is locked and not installed"]
    );
    place.write(
        "dbt_packages/dbt_utils/dbt_project.yml",
        "name: dbt_utils\nversion: 1.1.0\n",
    );
    assert_eq!(
        place.differences(),
        ["dbt_utils is installed as 1.1.0, wanted is 1.3.0"]
    );
    place.write(
        "dbt_packages/dbt_utils/dbt_project.yml",
        "name: dbt_utils\nversion: '1.3.0'\n",
    );
    assert!(place.differences().is_empty());
    place.write("packages.yml", &UTILS.replace("1.3.0", "1.4.0"));
    assert_eq!(
        place.differences(),
        ["package-lock.yml was not made from what packages.yml lists"]
    );
    // Without a lock, what the list says exactly.
    std::fs::remove_file(place.0.path().join("package-lock.yml")).unwrap();
    assert_eq!(
        place.differences(),
        ["dbt_utils is installed as 1.3.0, wanted is 1.4.0"]
    );
    place.write(
        "packages.yml",
        &UTILS.replace("1.3.0", "[\">=1.0.0\", \"<2.0.0\"]"),
    );
    assert!(place.differences().is_empty());
    place.write("packages.yml", &format!("{UTILS}  - local: ../lib\n"));
    assert_eq!(
        place.differences(),
        ["2 packages are listed and 1 are installed"]
    );
    place.write("packages.yml", "packages: []");
    assert!(place.differences().is_empty());
}

#[test]
fn what_deps_installed_is_right_whatever_it_calls_itself() {
    let place = Place::new();
    locked(&place).write(
        "dbt_packages/dbt_utils/dbt_project.yml",
        "name: dbt_utils\nversion: 1.2.9\n",
    );
    let found = place.find().unwrap();
    assert!(found.needs_install());
    assert!(!found.installed().unwrap().needs_install());
    assert!(!place.find().unwrap().needs_install());
    // Other files are another matter, and so is what is gone.
    place.write("packages.yml", &UTILS.replace("1.3.0", "1.4.0"));
    assert!(place.find().unwrap().needs_install());
    place.write("packages.yml", UTILS);
    assert!(!place.find().unwrap().needs_install());
    std::fs::remove_dir_all(place.0.path().join("dbt_packages/dbt_utils")).unwrap();
    assert_eq!(
        place.differences(),
        ["dbt_utils is locked and not installed"]
    );
}

#[test]
fn clones_are_compared_by_commit_and_links_are_current() {
    let place = Place::new();
    let (old, new) = ("a".repeat(40), "b".repeat(40));
    let lock = |revision: &str| {
        format!(
            "packages:\n  - {{git: x, revision: {revision}, name: ours}}\n  - {{local: ../lib, name: lib}}\n"
        )
    };
    place
        .write(
            "packages.yml",
            "packages: [{git: x, revision: v1}, {local: ../lib}]",
        )
        .write("package-lock.yml", &lock(&new))
        .write(
            "dbt_packages/ours/dbt_project.yml",
            "name: ours\nversion: 1.0.0\n",
        )
        .write("dbt_packages/ours/.git/HEAD", &format!("{old}\n"))
        .write("lib/dbt_project.yml", "name: lib\nversion: 7\n");
    let link = place.0.path().join("dbt_packages/lib");
    std::os::unix::fs::symlink(place.0.path().join("lib"), link).unwrap();
    let named: Vec<String> = place.differences();
    assert_eq!(named.len(), 2, "{named:?}");
    assert_eq!(
        named[1],
        format!("ours is installed as {old}, wanted is {new}")
    );
    place.write("package-lock.yml", &lock(&old));
    assert_eq!(place.differences().len(), 1);
}

#[test]
fn folders_that_nobody_locked_are_told() {
    let place = Place::new();
    locked(&place)
        .write(
            "dbt_packages/dbt_utils/dbt_project.yml",
            "name: dbt_utils\nversion: 1.3.0\n",
        )
        .write("dbt_packages/mine/dbt_project.yml", "name: mine\n")
        .write("dbt_packages/__pycache__/x", "");
    let found = place.find().unwrap();
    assert!(!found.needs_install());
    assert_eq!(found.installed, 2);
    assert!(
        found.warnings.len() == 1 && found.warnings[0].contains("dbt_packages/mine: is installed"),
        "{:?}",
        found.warnings
    );
}

#[test]
fn two_lists_are_refused() {
    let place = Place::new();
    place
        .write("packages.yml", UTILS)
        .write("dependencies.yml", "packages: []\n");
    assert!(
        place
            .find()
            .unwrap_err()
            .to_string()
            .contains("keep one of the two")
    );
    place.write("dependencies.yml", "projects: [{name: x}]\n");
    assert!(place.find().is_ok());
}
