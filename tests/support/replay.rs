//! A dbt that answers at once: what the real one wrote in one release is given again, and the
//! objects are made by SQL. For tests of many releases that dbt is not the subject of.

use super::{FakeDbt, SUPPORTED_DBT, World};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Stands in for dbt in a world, until it is dropped.
pub struct Replay {
    folder: PathBuf,
    builder: JoinHandle<()>,
}

/// Gives what was recorded; a build waits for the objects.
const SCRIPT: &str = r#"
cd "$RECORDED" || exit 2
while [ $# -gt 0 ]; do [ "$1" = --target-path ] && target=$2; shift; done
name=$(basename "$(dirname "$target")")
cp "$name"/*.json "$target"/ || exit 2
if [ "$name" = build ]; then
    rm -f built broken
    touch building
    until [ -e built ] || [ -e broken ]; do sleep 0.02; done
    if [ -e broken ]; then
        rm "$target"/run_results.json
        cat broken
        exit 1
    fi
fi
"#;

impl Replay {
    /// Records one release of the world's project, which is given up again, and takes dbt's place.
    /// The n-th build from then on makes release n + 1.
    pub async fn of(world: &mut World) -> Self {
        Self::recorded(world, &[]).await
    }

    /// As [`Replay::of`], recorded under the name of an environment.
    pub async fn named(world: &mut World, environment: &str) -> Self {
        Self::recorded(world, &[environment]).await
    }

    async fn recorded(world: &mut World, environment: &[&str]) -> Self {
        let deploy = [&["deploy", "--promotion", "manual"], environment].concat();
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
        let abort = [&["abort"], environment].concat();
        world.cutover(&abort).await.exits(0);
        let script = SCRIPT.replace("$RECORDED", &folder.display().to_string());
        let dbt = FakeDbt::write(&world.home().join("replay"), SUPPORTED_DBT, &script);
        world.set("DBT__EXECUTABLE", &dbt.path());
        let sql = world.server.connect().await;
        let releases: Vec<Vec<String>> = (2..100)
            .map(|release| world.objects("_dbt_deploy", release))
            .collect();
        let place = folder.clone();
        let builder = tokio::spawn(async move {
            for objects in releases {
                awaited(&place.join("building")).await;
                let mut end = ("built", String::new());
                for statement in objects {
                    if let Err(error) = sql.attempt(&statement).await {
                        end = ("broken", error);
                        break;
                    }
                }
                std::fs::write(place.join("new"), end.1).expect("a file");
                std::fs::rename(place.join("new"), place.join(end.0)).expect("a file");
            }
        });
        Self { folder, builder }
    }

    /// Lets no build begin until [`Replay::go_on`].
    pub fn hold(&self) {
        std::fs::write(self.folder.join("held"), "").expect("a file");
    }

    /// Whether a build waits.
    pub fn is_building(&self) -> bool {
        self.folder.join("building").exists()
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

/// Waits for a file while nothing is held, and takes it away.
async fn awaited(file: &Path) {
    let held = file.with_file_name("held");
    while held.exists() || !file.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::remove_file(file).expect("the file");
}
