//! Whether whoever is told is there. Nothing is sent; a release needs none of them.

use super::Findings;
use crate::interfaces::record::Verdict;
use crate::operations::notifications;
use crate::operations::release::Release;
use futures_util::future::join_all;

pub(super) async fn tried(release: &Release, findings: &mut Findings) {
    let targets = release.settings.told();
    let asking = targets.iter().map(async |target| {
        let found = notifications::reach(target, release.base()).await;
        (target, found)
    });
    for (target, found) in join_all(asking).await {
        let (name, kind) = (&target.name, target.word());
        match found {
            Ok(reached) => findings.ok("notifications", format!("{name} ({kind}): {reached}")),
            Err(why) => findings.push(
                "notifications",
                Verdict::Warning,
                format!("{name} ({kind}): {why}"),
                Some(format!(
                    "nobody is told there while it is so; correct it, then try `cutover notify --test {name}`"
                )),
            ),
        }
    }
}
