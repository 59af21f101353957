//! Readers of production notice nothing of releases but their data.

use crate::support::{Needs, Readers, World};

const RELEASES: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_whole_releases_and_no_error_over_twenty_of_them() {
    let Some(world) = World::start(Needs::AnyServer).await else {
        return;
    };
    // One invocation of dbt less for each release; other tests release with tests.
    world.project.without_tests();
    world.produce().await;
    let readers = Readers::start(&world, 4).await;
    for release in 2..=RELEASES + 1 {
        world.project.set_release(release);
        let before = world.snapshot().await;
        world.cutover(&["deploy"]).await.exits(0);
        world.serves(release).await;
        let after = world.snapshot().await;
        for (name, id) in &before.ids {
            assert_ne!(after.id(name), id, "{name} was not swapped");
        }
    }
    let seen = readers.stop().await;
    seen.undisturbed();
    let released: Vec<u32> = seen.releases.into_iter().collect();
    let expected: Vec<u32> = (1..=RELEASES + 1).collect();
    assert_eq!(released, expected);
    world.nothing_left().await;
}
