//! The table of rooms in `docs/architecture.md` is the law of imports, and the code keeps it.

mod imports;

use imports::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Ground first. A room names rooms of its own floor and of those below.
const FLOORS: [&str; 8] = [
    "foundation",
    "domain",
    "inputs",
    "adapters",
    "planning",
    "operations",
    "interfaces",
    "program",
];

/// Above this, without tests, a room is two rooms.
const MOST_LINES: usize = 9_000;

/// A row of the table.
#[derive(Debug, Clone)]
struct Row {
    floor: String,
    /// With its floor: `domain::plan`; the program's is `main`.
    room: String,
    /// Rooms, and whole floors.
    may_touch: BTreeSet<String>,
    line: usize,
}

/// A source file: its path as it is shown, the module that it is, and its text.
struct File {
    shown: String,
    module: Vec<String>,
    text: String,
}

impl File {
    fn new(shown: &str, text: &str) -> Self {
        let path = shown.strip_prefix("src/").unwrap_or(shown);
        let path = path.strip_suffix(".rs").unwrap_or(path);
        Self {
            shown: shown.to_owned(),
            module: path.split('/').map(str::to_owned).collect(),
            text: text.to_owned(),
        }
    }
}

fn floor_of(room: &str) -> &str {
    match room.split_once("::") {
        Some((floor, _)) => floor,
        None if room == "main" => "program",
        None => room,
    }
}

fn height(floor: &str) -> usize {
    FLOORS.iter().position(|it| *it == floor).unwrap_or(0)
}

/// The table whose head has these columns, read from the page.
fn table(page: &str) -> Vec<Row> {
    let cells = |line: &str| -> Vec<String> {
        let inside = line.trim().trim_matches('|');
        inside.split('|').map(|it| it.trim().to_owned()).collect()
    };
    let mut lines = page.lines().enumerate().skip_while(|(_, line)| {
        !(line.starts_with("| floor | room |") && line.contains("| may touch |"))
    });
    let Some((_, head)) = lines.next() else {
        return Vec::new();
    };
    let head = cells(head);
    let column = |name: &str| head.iter().position(|it| it == name).expect("a column");
    let (floor, room, may_touch) = (column("floor"), column("room"), column("may touch"));
    lines
        .skip(1)
        .take_while(|(_, line)| line.starts_with('|'))
        .map(|(at, line)| {
            let cells = cells(line);
            let name = cells[room].trim_matches('`');
            Row {
                floor: cells[floor].clone(),
                room: match cells[floor].as_str() {
                    "program" => name.to_owned(),
                    floor => format!("{floor}::{name}"),
                },
                may_touch: cells[may_touch]
                    .split(',')
                    .map(|it| it.trim().trim_matches('`').to_owned())
                    .filter(|it| !it.is_empty())
                    .collect(),
                line: at + 1,
            }
        })
        .collect()
}

/// What the code is made of: each room's lines, and each path that goes to another room.
#[derive(Default)]
struct Code {
    lines: BTreeMap<String, usize>,
    goes: Vec<Goes>,
    faults: Vec<String>,
}

struct Goes {
    place: String,
    from: String,
    to: String,
    path: String,
}

fn code(files: &[File]) -> Code {
    let sources: Vec<(&File, Source)> = files
        .iter()
        .map(|file| (file, imports::read(&file.module, &file.text)))
        .collect();
    let test_modules: Vec<&Vec<String>> = sources
        .iter()
        .flat_map(|(_, source)| &source.test_modules)
        .collect();
    let mut code = Code::default();
    for (file, source) in &sources {
        if test_modules.iter().any(|it| file.module.starts_with(it)) {
            continue;
        }
        let from = room(&file.module);
        match &from {
            Some(room) => *code.lines.entry(room.clone()).or_default() += source.lines,
            None if source.named.is_empty() => continue,
            None => {}
        }
        for named in &source.named {
            let place = format!("{}:{}", file.shown, named.line);
            let path = format!("crate::{}", named.path.join("::"));
            let Some(from) = &from else {
                let fault = format!("{place}: a floor lists its rooms and names nothing: {path}");
                code.faults.push(fault);
                continue;
            };
            match room(&named.path) {
                Some(to) if to == *from => {}
                Some(to) => code.goes.push(Goes {
                    place,
                    from: from.clone(),
                    to,
                    path,
                }),
                None => code.faults.push(format!(
                    "{place}: a path names the room, not a floor: {path}"
                )),
            }
        }
    }
    code
}

fn room(path: &[String]) -> Option<String> {
    match path {
        [main, ..] if main == "main" => Some(main.clone()),
        [floor, room, ..] if FLOORS.contains(&floor.as_str()) => Some(format!("{floor}::{room}")),
        _ => None,
    }
}

/// Everything in which the code and the table are not as the rules say, each with its place.
fn faults(rows: &[Row], code: &Code) -> Vec<String> {
    let mut faults = of_table(rows, code);
    faults.extend(code.faults.iter().cloned());
    let empty = BTreeSet::new();
    for goes in &code.goes {
        let Goes {
            place, from, to, ..
        } = goes;
        let row = rows.iter().find(|row| row.room == *from);
        let may_touch = row.map_or(&empty, |row| &row.may_touch);
        let rule = if height(floor_of(to)) > height(floor_of(from)) {
            format!("{from} names {to} of a higher floor")
        } else if are_adapters(from, to) {
            format!("an adapter touches no other, and {from} names {to}")
        } else if !may_touch.contains(to) && !may_touch.contains(floor_of(to)) {
            format!("{from} may not touch {to}, by its row in docs/architecture.md")
        } else {
            continue;
        };
        faults.push(format!("{place}: {rule}: {}", goes.path));
    }
    let edges: BTreeSet<(&str, &str)> = code
        .goes
        .iter()
        .map(|goes| (goes.from.as_str(), goes.to.as_str()))
        .collect();
    for (from, to) in in_a_circle(&edges) {
        for goes in code.goes.iter().filter(|it| it.from == from && it.to == to) {
            let (place, path) = (&goes.place, &goes.path);
            faults.push(format!("{place}: {from} and {to} are in a circle: {path}"));
        }
    }
    for (room, lines) in code.lines.iter().filter(|(_, it)| **it > MOST_LINES) {
        faults.push(format!(
            "src/{}: {lines} lines without tests, and a room has at most {MOST_LINES}",
            room.replace("::", "/")
        ));
    }
    faults
}

fn are_adapters(from: &str, to: &str) -> bool {
    from != to && [from, to].iter().all(|room| floor_of(room) == "adapters")
}

fn of_table(rows: &[Row], code: &Code) -> Vec<String> {
    let mut faults = Vec::new();
    let rooms: BTreeSet<&str> = rows.iter().map(|row| row.room.as_str()).collect();
    for room in code.lines.keys().filter(|it| !rooms.contains(it.as_str())) {
        let place = room.replace("::", "/");
        faults.push(format!("src/{place}: {room} has no row in the table"));
    }
    let mut seen = BTreeSet::new();
    let mut before = 0;
    for row in rows {
        let Row { room, line, .. } = row;
        let mut fault = |rule: String| faults.push(format!("docs/architecture.md:{line}: {rule}"));
        if !code.lines.contains_key(room) {
            fault(format!("{room} is not in src/"));
        }
        if !seen.insert(room) {
            fault(format!("{room} has a row already"));
        }
        let own = height(&row.floor);
        if own < before {
            fault(format!("{room} stands after rows of a higher floor"));
        }
        before = own;
        for other in &row.may_touch {
            let is_floor = FLOORS.contains(&other.as_str());
            if !is_floor && !rooms.contains(other.as_str()) {
                fault(format!("{other} is neither a room nor a floor"));
            } else if height(floor_of(other)) > own {
                fault(format!("{room} may not touch {other} of a higher floor"));
            } else if *other == row.floor || other == room {
                fault(format!("{room} names the rooms of its own floor singly"));
            } else if are_adapters(room, other) {
                fault(format!(
                    "an adapter touches no other, and {room} may {other}"
                ));
            }
        }
    }
    let edges: BTreeSet<(&str, &str)> = rows
        .iter()
        .flat_map(|row| {
            row.may_touch
                .iter()
                .map(|to| (row.room.as_str(), to.as_str()))
        })
        .collect();
    for (from, to) in in_a_circle(&edges) {
        faults.push(format!(
            "docs/architecture.md: {from} and {to} may touch each other in a circle"
        ));
    }
    faults
}

/// The edges from whose end one comes back to their beginning.
fn in_a_circle<'e>(edges: &BTreeSet<(&'e str, &'e str)>) -> Vec<(&'e str, &'e str)> {
    let comes_back = |(from, to): &(&str, &str)| {
        let (mut seen, mut left) = (BTreeSet::from([*to]), vec![*to]);
        while let Some(at) = left.pop() {
            let next = edges.iter().filter(|(from, _)| *from == at);
            left.extend(next.filter(|(_, to)| seen.insert(*to)).map(|(_, to)| *to));
        }
        seen.contains(from)
    };
    edges.iter().filter(|it| comes_back(it)).copied().collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<File>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let shown = path.strip_prefix(root()).expect("below the root");
            let text = std::fs::read_to_string(&path).expect("a source file");
            found.push(File::new(&shown.to_string_lossy(), &text));
        }
    }
}

fn page() -> Vec<Row> {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).expect("the page");
    table(&page)
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the table of floors is what one wants to see of it"
)]
fn every_import_is_one_that_the_table_allows() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let rows = page();
    let code = code(&files);
    println!("{}", shown(&code));
    assert!(rows.len() > 30 && files.len() > 300 && code.goes.len() > 1_000);
    let faults = faults(&rows, &code);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The floors from above, with the lines of each room and what it names.
fn shown(code: &Code) -> String {
    let mut text = String::new();
    for floor in FLOORS.iter().rev() {
        let rooms: Vec<_> = code
            .lines
            .iter()
            .filter(|(room, _)| floor_of(room) == *floor)
            .collect();
        let lines: usize = rooms.iter().map(|(_, lines)| **lines).sum();
        let _ = writeln!(text, "{floor}: {} rooms, {lines} lines", rooms.len());
        for (room, lines) in rooms {
            let names: BTreeSet<&str> = code
                .goes
                .iter()
                .filter(|goes| goes.from == *room)
                .map(|goes| goes.to.as_str())
                .collect();
            let names: Vec<&str> = names.into_iter().collect();
            let _ = writeln!(text, "  {room:<26} {lines:>5}  {}", names.join(" "));
        }
    }
    text
}

#[test]
fn the_floors_are_those_of_the_library() {
    let library = std::fs::read_to_string(root().join("src/lib.rs")).expect("the library");
    let mut declared: Vec<&str> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    declared.sort_by_key(|floor| height(floor));
    assert_eq!(declared, FLOORS[..FLOORS.len() - 1]);
}

/// A small page: two rooms below, two adapters, and one above that may touch one of each.
const SAMPLE: &str = "\
| floor | room | what it knows | may touch | must not |
|---|---|---|---|---|
| foundation | `word` | words | | |
| foundation | `sql` | text | `foundation::word` | |
| adapters | `store` | the journal | `foundation` | |
| adapters | `dbt` | dbt | | |
| operations | `green` | green | `adapters::store`, `foundation::sql` | |
";

/// The faults of a sample in which one file is another than what is right.
fn found(path: &str, text: &str) -> Vec<String> {
    let mut files: Vec<File> = [
        ("src/foundation/word.rs", ""),
        (
            "src/foundation/sql.rs",
            "use crate::foundation::word::words;\n",
        ),
        (
            "src/adapters/store.rs",
            "use crate::foundation::sql::Ident;\n",
        ),
        ("src/adapters/dbt.rs", ""),
        (
            "src/operations/green.rs",
            "use crate::{adapters::store::Store, foundation::sql};\n",
        ),
    ]
    .map(|(path, text)| File::new(path, text))
    .into();
    files.retain(|file| file.shown != path);
    files.push(File::new(path, text));
    faults(&table(SAMPLE), &code(&files))
}

#[track_caller]
fn finds(path: &str, text: &str, expected: &[&str]) {
    assert_eq!(found(path, text), expected);
}

#[test]
fn what_the_table_allows_is_no_fault() {
    finds("src/foundation/word.rs", "", &[]);
    let tests = "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nuse crate::operations::green::X;\n";
    finds("src/foundation/word.rs", tests, &[]);
}

#[test]
fn a_room_that_its_row_does_not_name_is_a_fault() {
    finds(
        "src/operations/green/stage.rs",
        "//! Staging.\n\nfn f() { super::super::super::foundation::word::g() }\n",
        &[
            "src/operations/green/stage.rs:3: operations::green may not touch foundation::word, \
           by its row in docs/architecture.md: crate::foundation::word::g",
        ],
    );
    finds(
        "src/operations/green/stage.rs",
        "use crate::{\n    foundation::sql,\n    adapters::{store, dbt::Dbt},\n};\n",
        &[
            "src/operations/green/stage.rs:3: operations::green may not touch adapters::dbt, \
           by its row in docs/architecture.md: crate::adapters::dbt::Dbt",
        ],
    );
}

#[test]
fn a_higher_floor_and_another_adapter_are_faults() {
    finds(
        "src/adapters/dbt.rs",
        "use crate::operations::green::stage;\nuse super::store::Store;\n",
        &[
            "src/adapters/dbt.rs:1: adapters::dbt names operations::green of a higher floor: \
             crate::operations::green::stage",
            "src/adapters/dbt.rs:2: an adapter touches no other, and adapters::dbt names \
             adapters::store: crate::adapters::store::Store",
        ],
    );
}

#[test]
fn a_circle_is_a_fault_at_each_of_its_paths() {
    let faults = found("src/foundation/word.rs", "use super::sql::quoted;\n");
    let circles: Vec<&String> = faults.iter().filter(|it| it.contains("circle")).collect();
    assert_eq!(circles.len(), 2, "{faults:?}");
    let edges = BTreeSet::from([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]);
    assert_eq!(in_a_circle(&edges), [("a", "b"), ("b", "c"), ("c", "a")]);
}

#[test]
fn a_whole_floor_is_not_named_and_names_nothing() {
    finds(
        "src/operations/green/stage.rs",
        "use crate::operations;\n",
        &["src/operations/green/stage.rs:1: a path names the room, not a floor: crate::operations"],
    );
    finds(
        "src/operations.rs",
        "pub use crate::foundation::word::Word;\n",
        &[
            "src/operations.rs:1: a floor lists its rooms and names nothing: \
           crate::foundation::word::Word",
        ],
    );
}

#[test]
fn a_room_without_a_row_and_one_that_is_too_large_are_faults() {
    finds(
        "src/operations/builds.rs",
        "",
        &["src/operations/builds: operations::builds has no row in the table"],
    );
    finds(
        "src/adapters/dbt/long.rs",
        &"const A: u8 = 0;\n".repeat(MOST_LINES + 1),
        &["src/adapters/dbt: 9001 lines without tests, and a room has at most 9000"],
    );
}

#[test]
fn a_row_that_cannot_be_is_a_fault() {
    let page = format!(
        "{SAMPLE}| foundation | `tls` | TLS | `domain::plan`, `operations::green`, `foundation` | |\n"
    );
    let faults = of_table(&table(&page), &Code::default());
    let of_row: Vec<&String> = faults.iter().filter(|it| it.contains(".md:8:")).collect();
    assert_eq!(of_row.len(), 5, "{of_row:?}");
}
