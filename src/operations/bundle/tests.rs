use super::listing::{Listing, is_within};
use super::origin::Origin;
use super::{About, Bundle, Contents, Dbt, Name, may_be_made, write};
use crate::domain::location::url::bundle_fault;
use crate::foundation::failure::with_causes;
use crate::inputs::outcome;
use crate::inputs::project::Switches;
use crate::inputs::project::dbt_project::circumstances::Circumstances;
use crate::inputs::settings::Settings;
use crate::planning::planner::clusters::ClusterNames;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn about() -> About {
    let target = json!({"name": "prod", "schema": "main", "database": "db", "user": "ci", "host": "a", "threads": 4});
    About {
        project: "shop".to_owned(),
        revision: None,
        dbt: Dbt {
            core: "1.11.16".to_owned(),
            adapter: "1.9.11".to_owned(),
        },
        target: About::counted(target.as_object().expect("a mapping"), false, false),
        reads_connection: false,
        reads_user: false,
        schemas: BTreeSet::from(["shop_marts".to_owned()]),
        clusters: BTreeSet::from(["shop_serve".to_owned()]),
        variables: json!({"country": "fr"})
            .as_object()
            .cloned()
            .unwrap_or_default(),
        cluster_names: ClusterNames::default(),
        switches: Switches::default(),
        outcomes: outcome::FORM,
    }
}

fn contents(seed: &str) -> Contents {
    let files = [
        ("manifest.json", "{}"),
        ("outcomes.json", "{}"),
        (
            "compiled.json",
            r#"{"asking": [], "sql": {"model.shop.a": "select 1"}}"#,
        ),
        ("project/dbt_project.yml", "name: shop\n"),
        ("project/seeds/deep/orders of all.csv", seed),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    Contents {
        about: about(),
        files: files.into(),
    }
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a moment")
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn made(&self, name: &str, seed: &str) -> PathBuf {
        let path = self.at(name);
        write(&path, contents(seed), moment(1)).expect("made");
        path
    }

    /// The names in the folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort_unstable();
        names
    }

    fn origin(&self, bundle: &str) -> Origin {
        let mut settings = Settings::defaults().expect("defaults");
        settings.source.bundle = Some(bundle.to_owned());
        let origin = Origin::new(&settings, self.0.path(), "prod").expect("a place");
        origin.expect("a bundle is named")
    }

    fn copies(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.at(".cutover/sources/prod/bundles")).into_iter();
        let entries = entries.flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }
}

#[track_caller]
fn refused(found: Result<Bundle, super::BundleError>) -> (Name, String) {
    let error = found.expect_err("it is refused");
    let name = error.name().unwrap_or_else(|| panic!("{error:?}"));
    let text = with_causes(&error);
    assert!(text.starts_with(&format!("{name}: ")), "{text}");
    (name, text)
}

fn listing(bundle: &Path) -> Value {
    let bytes = fs::read(bundle.join("bundle.json")).expect("a listing");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[test]
fn the_same_contents_have_the_same_digest_whenever_they_are_written() {
    let place = Place::new();
    let one = write(&place.at("one"), contents("a\n1\n"), moment(1)).expect("made");
    let other = write(&place.at("other"), contents("a\n1\n"), moment(2)).expect("made");
    assert_eq!(one, other);
    assert!(!one.was_there);
    let (one, other) = (listing(&place.at("one")), listing(&place.at("other")));
    assert_ne!(one["made_at"], other["made_at"]);
    assert_eq!(
        (&one["digest"], &one["files"]),
        (&other["digest"], &other["files"])
    );
    let changed = write(&place.at("changed"), contents("a\n2\n"), moment(1)).expect("made");
    assert_ne!(json!(changed.digest), one["digest"]);
    let mut another = contents("a\n1\n");
    another.about.schemas.clear();
    let another = write(&place.at("another"), another, moment(1)).expect("made");
    assert_ne!(json!(another.digest), one["digest"]);
    let opened = Bundle::open(&place.at("one")).expect("a bundle");
    assert_eq!(json!(opened.digest()), one["digest"]);
    assert_eq!(opened.about(), &about());
    assert_eq!(
        opened.compiled().expect("SQL").sql["model.shop.a"],
        "select 1"
    );
}

#[test]
fn a_bundle_takes_the_place_of_a_bundle_and_of_nothing_else() {
    let place = Place::new();
    let bundle = place.made("out", "1");
    let again = write(&bundle, contents("1"), moment(9)).expect("made");
    assert!(again.was_there);
    assert_eq!(listing(&bundle)["made_at"], json!(moment(1)));
    // Also in the place of one that is cut short.
    fs::write(bundle.join("manifest.json"), "").expect("written");
    write(&bundle, contents("1"), moment(9)).expect("made");
    write(&bundle, contents("2"), moment(9)).expect("made");
    Bundle::open(&bundle).expect("whole");
    fs::create_dir(place.at("empty")).expect("a folder");
    write(&place.at("empty"), contents("1"), moment(1)).expect("made");
    assert_eq!(place.names(), ["empty", "out"], "nothing else is left");

    fs::write(place.at("file"), "mine").expect("written");
    symlink(&bundle, place.at("link")).expect("a link");
    fs::create_dir_all(place.at("work/deep")).expect("a folder");
    fs::write(place.at("work/deep/mine.txt"), "mine").expect("written");
    fs::create_dir(place.at("other")).expect("a folder");
    fs::write(
        place.at("other/bundle.json"),
        r#"{"name": "a bundle of JavaScript"}"#,
    )
    .expect("written");
    fs::write(bundle.join("project/notes.txt"), "mine").expect("written");
    for name in ["file", "link", "work", "other", "out"] {
        let error = write(&place.at(name), contents("3"), moment(1)).expect_err(name);
        assert_eq!(error.name(), Some(Name::Occupied), "{name}: {error}");
        assert!(error.to_string().contains("not overwritten"), "{error}");
        assert!(may_be_made(&place.at(name)).is_err());
    }
    let read = |path: &str| fs::read_to_string(place.at(path)).expect("a file");
    assert_eq!(
        read("work/deep/mine.txt") + &read("out/project/notes.txt"),
        "minemine"
    );
    assert_eq!(
        place.names(),
        ["empty", "file", "link", "other", "out", "work"]
    );
}

#[test]
fn what_leads_out_of_a_bundle_is_not_written() {
    let place = Place::new();
    for path in [
        "../x",
        "/x",
        "a/../x",
        "./x",
        "a//b",
        "a/",
        "",
        "bundle.json",
        "a\nb",
    ] {
        assert!(!is_within(path), "{path:?}");
        let mut contents = contents("1");
        contents.files.insert(path.to_owned(), Vec::new());
        let error = write(&place.at("out"), contents, moment(1)).expect_err(path);
        assert_eq!(error.name(), Some(Name::Outside), "{path:?}: {error}");
    }
    assert!(is_within("project/seeds/a b/ä.csv"));
    assert_eq!(place.names(), Vec::<String>::new());
}

/// A bundle whose listing is changed and has its digest again.
fn relisted(bundle: &Path, change: impl Fn(&mut Listing)) {
    let bytes = fs::read(bundle.join("bundle.json")).expect("a listing");
    let mut listing: Listing = serde_json::from_slice(&bytes).expect("a listing");
    change(&mut listing);
    let again = Listing::of(listing.about, listing.files, listing.made_at).expect("a listing");
    fs::write(bundle.join("bundle.json"), json!(again).to_string()).expect("written");
}

#[test]
fn what_is_no_whole_bundle_is_refused_by_name() {
    let place = Place::new();
    let seed = "project/seeds/deep/orders of all.csv";
    type Harm = Box<dyn Fn(&Path)>;
    let edit = |from: &'static str, to: &'static str| -> Harm {
        Box::new(move |bundle| {
            let text = fs::read_to_string(bundle.join("bundle.json")).expect("a listing");
            assert!(text.contains(from), "{text}");
            fs::write(bundle.join("bundle.json"), text.replacen(from, to, 1)).expect("written");
        })
    };
    let harms: Vec<(&str, Name, Harm)> = vec![
        (
            "no listing",
            Name::Missing,
            Box::new(|bundle| fs::remove_file(bundle.join("bundle.json")).expect("removed")),
        ),
        (
            "no folder",
            Name::Missing,
            Box::new(|bundle| fs::remove_dir_all(bundle).expect("removed")),
        ),
        (
            "a file",
            Name::Missing,
            Box::new(|bundle| {
                fs::remove_dir_all(bundle).expect("removed");
                fs::write(bundle, "{}").expect("written");
            }),
        ),
        (
            "a listing cut short",
            Name::Damaged,
            Box::new(|bundle| {
                let bytes = fs::read(bundle.join("bundle.json")).expect("a listing");
                fs::write(bundle.join("bundle.json"), &bytes[..bytes.len() / 2]).expect("written");
            }),
        ),
        (
            "an empty listing",
            Name::Damaged,
            Box::new(|bundle| fs::write(bundle.join("bundle.json"), "").expect("written")),
        ),
        (
            "another form",
            Name::Format,
            edit("\"form\": 1", "\"form\": 2"),
        ),
        (
            "another target",
            Name::Damaged,
            edit("\"name\": \"prod\"", "\"name\": \"test\""),
        ),
        (
            "another digest of a file",
            Name::Damaged,
            edit("\"sha256\": \"", "\"sha256\": \"0"),
        ),
        (
            "a key too much",
            Name::Damaged,
            edit("\"made_by\"", "\"extra\": 1, \"made_by\""),
        ),
        (
            "outcomes of another form",
            Name::Format,
            Box::new(|bundle| relisted(bundle, |listing| listing.about.outcomes += 1)),
        ),
        (
            "no manifest in the listing",
            Name::Incomplete,
            Box::new(|bundle| {
                relisted(bundle, |listing| {
                    listing.files.remove("manifest.json");
                })
            }),
        ),
        (
            "a path that leads out",
            Name::Outside,
            Box::new(|bundle| {
                relisted(bundle, |listing| {
                    let listed = listing.files["manifest.json"].clone();
                    listing.files.insert("../manifest.json".to_owned(), listed);
                })
            }),
        ),
        (
            "a changed file",
            Name::Damaged,
            Box::new(move |bundle| fs::write(bundle.join(seed), "2").expect("written")),
        ),
        (
            "a file cut short",
            Name::Damaged,
            Box::new(|bundle| fs::write(bundle.join("compiled.json"), "{").expect("written")),
        ),
        (
            "a missing file",
            Name::Incomplete,
            Box::new(move |bundle| fs::remove_file(bundle.join(seed)).expect("removed")),
        ),
        (
            "a missing folder",
            Name::Incomplete,
            Box::new(|bundle| fs::remove_dir_all(bundle.join("project")).expect("removed")),
        ),
        (
            "a folder in the place of a file",
            Name::Damaged,
            Box::new(move |bundle| {
                fs::remove_file(bundle.join(seed)).expect("removed");
                fs::create_dir(bundle.join(seed)).expect("a folder");
            }),
        ),
        (
            "a link to a file",
            Name::Outside,
            Box::new(move |bundle| {
                let other = bundle.parent().expect("a folder").join("same");
                fs::rename(bundle.join(seed), &other).expect("renamed");
                symlink(&other, bundle.join(seed)).expect("a link");
            }),
        ),
        (
            "a link to a folder",
            Name::Outside,
            Box::new(|bundle| {
                let other = bundle.parent().expect("a folder").join("project");
                fs::rename(bundle.join("project"), &other).expect("renamed");
                symlink(&other, bundle.join("project")).expect("a link");
            }),
        ),
        (
            "the listing as a link",
            Name::Outside,
            Box::new(|bundle| {
                let other = bundle.parent().expect("a folder").join("listing");
                fs::rename(bundle.join("bundle.json"), &other).expect("renamed");
                symlink(&other, bundle.join("bundle.json")).expect("a link");
            }),
        ),
    ];
    for (what, name, harm) in harms {
        let bundle = place.made("bundle", "1");
        harm(&bundle);
        let (found, text) = refused(Bundle::open(&bundle));
        assert_eq!(found, name, "{what}: {text}");
        assert!(text.contains("bundle"), "{what}: {text}");
        // It is not copied either.
        let (found, text) = refused(place.origin("bundle").present());
        assert_eq!(found, name, "{what}: {text}");
        assert_eq!(place.copies(), BTreeSet::new(), "{what}");
        let _ = fs::remove_dir_all(place.0.path());
        fs::create_dir(place.0.path()).expect("a folder");
    }
}

#[tokio::test]
async fn a_release_works_from_a_copy_that_is_its_own() {
    let place = Place::new();
    let bundle = place.made("bundle", "1");
    let origin = place.origin("bundle");
    let fetched = origin.fetch().await.expect("a bundle");
    let one = fetched.digest().to_owned();
    assert!(
        fetched
            .project()
            .starts_with(place.at(".cutover/sources/prod/bundles"))
    );
    assert_eq!(origin.resolve().await.expect("known"), fetched.revision());
    assert_eq!(place.copies(), BTreeSet::from([one.clone()]));
    let ignored = fs::read_to_string(place.at(".cutover/.gitignore")).expect("a file");
    assert_eq!(ignored, "*\n");

    // What becomes of the place does not matter to who goes on with it.
    place.made("bundle", "2");
    let other = origin.fetch().await.expect("a bundle").digest().to_owned();
    assert_ne!(one, other);
    assert_eq!(origin.at(&one).await.expect("the copy").digest(), one);
    fs::remove_dir_all(&bundle).expect("removed");
    assert_eq!(refused(origin.present()).0, Name::Missing);
    assert_eq!(
        origin.at_hand().await.expect("the last one").digest(),
        other
    );
    assert_eq!(origin.at(&one).await.expect("the copy").digest(), one);

    // A copy that was harmed is made again, where it can be.
    let copy = place.at(".cutover/sources/prod/bundles").join(&one);
    fs::write(copy.join("manifest.json"), "harmed").expect("written");
    place.made("bundle", "2");
    assert_eq!(refused(origin.at(&one).await).0, Name::Replaced);
    place.made("bundle", "1");
    assert_eq!(origin.at(&one).await.expect("made again").digest(), one);

    for seed in 3..12 {
        place.made("bundle", &seed.to_string());
        origin.fetch().await.expect("a bundle");
    }
    assert!(place.copies().len() <= 6, "{:?}", place.copies());
}

#[tokio::test]
async fn a_bundle_of_an_object_store_is_read_file_by_file() {
    let place = Place::new();
    let bundle = place.made("store/prefix", "1");
    let url = format!("file://{}", bundle.display());
    let origin = place.origin("bundle").in_store(&url, place.0.path());
    let error = origin.present().expect_err("not asked yet");
    assert!(
        matches!(error, super::BundleError::NotFetched { .. }),
        "{error}"
    );
    let fetched = origin.fetch().await.expect("a bundle");
    assert_eq!(origin.resolve().await.expect("known"), fetched.revision());
    assert_eq!(
        origin.present().expect("fetched").digest(),
        fetched.digest()
    );
    fs::write(bundle.join("compiled.json"), "{}").expect("written");
    fs::remove_dir_all(place.at(".cutover")).expect("removed");
    assert_eq!(refused(origin.fetch().await).0, Name::Damaged);
    fs::remove_file(bundle.join("compiled.json")).expect("removed");
    assert_eq!(refused(origin.fetch().await).0, Name::Incomplete);
    fs::remove_file(bundle.join("bundle.json")).expect("removed");
    assert_eq!(refused(origin.fetch().await).0, Name::Missing);
    assert_eq!(place.copies(), BTreeSet::new());
}

#[test]
fn places_are_folders_or_buckets() {
    for good in [
        "bundle",
        "/srv/bundle",
        "file:///srv/bundle",
        "s3://bucket/a/b",
        "gs://b",
        "az://c/x",
    ] {
        assert_eq!(bundle_fault(good), None, "{good}");
    }
    for bad in [
        "",
        "a\nb",
        "http://host/x",
        "s3://key:s3cr3t@bucket/x",
        "s3://",
        "s3://b/../c",
    ] {
        let problem = bundle_fault(bad).unwrap_or_else(|| panic!("{bad:?}"));
        assert!(!problem.contains("s3cr3t"), "{problem}");
    }
}

#[test]
fn what_is_not_as_it_was_compiled_is_named() {
    let about = about();
    let here = |target: Value| Circumstances {
        target: target.as_object().cloned().unwrap_or_default(),
        ..Circumstances::default()
    };
    let details = |target: Value, given: Value| -> Vec<String> {
        let given = given.as_object().cloned().unwrap_or_default();
        let found = about.differing(&here(target), &given);
        found.into_iter().map(|found| found.detail).collect()
    };
    let same = json!({"name": "prod", "schema": "main", "database": "db", "user": "somebody", "host": "b", "threads": 1});
    let none: [&str; 0] = [];
    assert_eq!(
        details(same, json!({"country": "fr"})),
        none,
        "how and as whom one connects"
    );
    let other = json!({"name": "prod", "schema": "other", "database": "db", "cluster": "c"});
    assert_eq!(
        details(other, json!({"country": "de", "more": 1})),
        [
            "target.cluster is not set in the bundle and \"c\" here",
            "target.schema is \"main\" in the bundle and \"other\" here",
            "the variable country is another here",
            "the variable more is another here",
        ]
    );
    let deployment = crate::inputs::project::Deployment {
        clusters: vec!["shop_serve".to_owned()],
        schemas: vec!["shop_other".to_owned()],
    };
    let found = about.differing_deployment(&deployment);
    let found: BTreeMap<String, &str> = found
        .into_iter()
        .map(|one| (one.detail, one.what))
        .collect();
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [
            (
                "vars.deployment has the schema shop_marts in the bundle and not here".to_owned(),
                "vars.deployment"
            ),
            (
                "vars.deployment has the schema shop_other here and not in the bundle".to_owned(),
                "vars.deployment"
            ),
        ]
    );
}
