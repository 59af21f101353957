//! A dbt that answers at once: what the real one wrote in one release is given again, and the
//! objects are made by SQL. For tests of many releases that dbt is not the subject of, nor the time that
//! green takes to be ready.

use super::{FakeDbt, SUPPORTED_DBT, Sql, World};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Stands in for dbt in a world, until it is dropped.
pub struct Replay {
    folder: PathBuf,
    order: Arc<Mutex<Order>>,
    builder: JoinHandle<()>,
}

/// What the next build is to do.
#[derive(Debug, Clone, Copy)]
struct Order {
    release: u32,
    counts: bool,
    fails: bool,
    names_schema: bool,
}

/// Gives what was recorded; a build waits for the objects.
const SCRIPT: &str = r#"
cd "$RECORDED" || exit 2
while [ $# -gt 0 ]; do [ "$1" = --target-path ] && target=$2; shift; done
name=$(basename "$(dirname "$target")")
cp "$name"/*.json "$target"/ || exit 2
if [ "$name" = build ]; then
    # Process ids come round again within minutes of a crash matrix; with the time of the start they do not.
    stat=$(cat /proc/$$/stat)
    set -- ${stat##*) }
    guest=$$-${20}
    touch "building.$guest"
    until [ -e "built.$guest" ] || [ -e "broken.$guest" ]; do sleep 0.02; done
    if [ -e "broken.$guest" ]; then
        rm "$target"/run_results.json
        cat "broken.$guest"
        exit 1
    fi
fi
"#;

/// Releases that can be made.
const LAST: u32 = 4000;

impl Replay {
    /// Records one release of the world's project, which is given up again, and takes dbt's place.
    /// The n-th build from then on makes release n + 1.
    pub async fn of(world: &mut World) -> Self {
        Self::recorded(world, &[], &[]).await
    }

    /// As [`Replay::of`], of releases that `--select totals` selects: the schema of the seed stays.
    pub async fn of_totals(world: &mut World) -> Self {
        Self::recorded(world, &[], &["--select", "totals"]).await
    }

    /// As [`Replay::of`], recorded under the name of an environment.
    pub async fn named(world: &mut World, environment: &str) -> Self {
        Self::recorded(world, &[environment], &[]).await
    }

    async fn recorded(world: &mut World, environment: &[&str], selection: &[&str]) -> Self {
        // What is given again is a build by dbt; without one there is nothing to record.
        world.set("BUILD__ENGINE", "dbt");
        let deploy = [&["deploy", "--promotion", "manual"], environment, selection].concat();
        let ready = world.cutover(&deploy).await.exits(0);
        let run = world
            .project
            .path()
            .join(".cutover/runs")
            .join(ready.deployment());
        let folder = world.home().join("recorded");
        for (step, files) in [
            ("parse", &["manifest.json"][..]),
            ("parse-green", &["manifest.json"]),
            ("build", &["manifest.json", "run_results.json"]),
        ] {
            let place = folder.join(step);
            std::fs::create_dir_all(&place).expect("a folder");
            for file in files {
                std::fs::copy(run.join(step).join("target").join(file), place.join(file))
                    .expect("what dbt wrote");
            }
        }
        // What was compiled, where anything had to be.
        for step in ["parse", "compile"] {
            let written = run.join(step).join("target/run_results.json");
            if written.is_file() {
                let place = folder.join(step);
                std::fs::create_dir_all(&place).expect("a folder");
                std::fs::copy(written, place.join("run_results.json")).expect("what dbt wrote");
            }
        }
        let abort = [&["abort"], environment].concat();
        world.cutover(&abort).await.exits(0);
        world.sql.run("UPDATE mz_sandbox.timings SET ms = 20").await;
        let script = SCRIPT.replace("$RECORDED", &folder.display().to_string());
        let dbt = FakeDbt::write(&world.home().join("replay"), SUPPORTED_DBT, &script);
        world.set("DBT__EXECUTABLE", &dbt.path());
        let config = world.server.config();
        let mut sql = world.server.connect().await;
        let order = Arc::new(Mutex::new(Order {
            release: 2,
            counts: true,
            fails: false,
            names_schema: false,
        }));
        let (staging, green) = (world.name("staging"), world.name("staging_dbt_deploy"));
        // The first three make the schema of the seed.
        let staying = if selection.is_empty() { 0 } else { 3 };
        let recipes: Vec<Vec<String>> = (0..LAST)
            .map(|release| {
                let objects = world.objects("_dbt_deploy", release).into_iter();
                let made = objects.skip(staying).map(|sql| match staying {
                    0 => sql,
                    _ => sql.replace(&green, &staging),
                });
                made.collect()
            })
            .collect();
        // A build begins by dropping what an earlier one left, as dbt does.
        let anew: Vec<String> = match staying {
            0 => vec![format!("DROP TABLE IF EXISTS {green}.orders CASCADE")],
            _ => ["totals", "counts"]
                .map(|name| {
                    let marts = world.name("marts_dbt_deploy");
                    format!("DROP MATERIALIZED VIEW IF EXISTS {marts}.{name} CASCADE")
                })
                .into(),
        };
        let marts = world.name("marts_dbt_deploy");
        let (place, orders) = (folder.clone(), Arc::clone(&order));
        let builder = tokio::spawn(async move {
            loop {
                let guest = awaited(&place).await;
                let order = *orders.lock().expect("no builder panics");
                let mut end = ("built", String::new());
                let steps = anew.iter().chain(&recipes[order.release as usize]);
                for step in steps {
                    // A dbt that was killed makes nothing any more.
                    if !is_alive(&guest) {
                        break;
                    }
                    let step = match order.names_schema {
                        true => naming(step, &marts),
                        false => step.clone(),
                    };
                    if let Err(error) = sql.attempt(&format!("/* dbt: */ {step}")).await {
                        end = ("broken", error);
                        break;
                    }
                }
                if order.fails {
                    end = ("broken", "told to fail".to_owned());
                }
                if order.counts {
                    orders.lock().expect("no builder panics").release += 1;
                }
                std::fs::write(place.join("new"), end.1).expect("a file");
                let answer = place.join(format!("{}.{guest}", end.0));
                std::fs::rename(place.join("new"), answer).expect("a file");
                // The server may have been away.
                while sql.attempt("SELECT 1").await.is_err() {
                    match Sql::try_connect(&config).await {
                        Ok(again) => sql = again,
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
            }
        });
        Self {
            folder,
            order,
            builder,
        }
    }

    /// What every build from now on makes, and whether it fails in the end.
    pub fn makes(&self, release: u32, fails: bool) {
        let mut order = self.order.lock().expect("no builder panics");
        *order = Order {
            release,
            counts: false,
            fails,
            names_schema: order.names_schema,
        };
    }

    /// Whether what builds make from now on names a green schema in column references, so that no
    /// server swaps or renames it.
    pub fn names_schema(&self, does: bool) {
        self.order.lock().expect("no builder panics").names_schema = does;
    }

    /// Whether builds fail in the end from now on.
    pub fn fails(&self, fails: bool) {
        self.order.lock().expect("no builder panics").fails = fails;
    }

    /// Lets no build begin until [`Replay::go_on`].
    pub fn hold(&self) {
        std::fs::write(self.folder.join("held"), "").expect("a file");
    }

    /// Whether a build waits.
    pub fn is_building(&self) -> bool {
        !waiting(&self.folder).is_empty()
    }

    /// Lets builds begin.
    pub fn go_on(&self) {
        std::fs::remove_file(self.folder.join("held")).expect("a file");
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.builder.abort();
    }
}

/// The same view, with the schema in its column references.
fn naming(step: &str, marts: &str) -> String {
    if !step.contains(".report AS ") {
        return step.to_owned();
    }
    step.replace(" t.", &format!(" {marts}.totals."))
        .replace(" c.", &format!(" {marts}.counts."))
        .replace(".totals t ", ".totals ")
        .replace(".counts c", ".counts")
}

/// Whether a process is there that is called by its id and the time of its start.
fn is_alive(guest: &str) -> bool {
    let (id, started) = guest.split_once('-').expect("an id and a time");
    let stat = std::fs::read_to_string(Path::new("/proc").join(id).join("stat"));
    stat.is_ok_and(|stat| {
        // What follows the name, which may hold anything; the time is the 22nd of all.
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
        fields.and_then(|fields| fields.split(' ').nth(19)) == Some(started)
    })
}

/// The processes that wait for a build.
fn waiting(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            Some(name.to_str()?.strip_prefix("building.")?.to_owned())
        })
        .collect()
}

/// Waits for a process that wants a build while nothing is held. One that has ended wants nothing.
async fn awaited(folder: &Path) -> String {
    loop {
        if !folder.join("held").exists() {
            for guest in waiting(folder) {
                let asked = folder.join(format!("building.{guest}"));
                std::fs::remove_file(asked).expect("the file");
                if is_alive(&guest) {
                    return guest;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
