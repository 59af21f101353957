//! Work on many nodes, on all cores.

use std::num::NonZero;

/// So many nodes are worth a thread.
const OF_A_THREAD: usize = 500;

/// What `work` makes of parts of `nodes`, in order; of few, in one part and on this thread.
pub(super) fn side_by_side<N: Sync, T: Send>(
    nodes: &[N],
    work: impl Fn(&[N]) -> T + Sync,
) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(nodes.len() / OF_A_THREAD).max(1);
    if threads == 1 {
        return vec![work(nodes)];
    }
    let parts = nodes.chunks(nodes.len().div_ceil(threads));
    std::thread::scope(|scope| {
        let threads: Vec<_> = parts.map(|part| scope.spawn(|| work(part))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, T>| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_nodes_are_worked_on_in_order() {
        for count in [0, 1, OF_A_THREAD, 3 * OF_A_THREAD + 1] {
            let nodes: Vec<usize> = (0..count).collect();
            let parts = side_by_side(&nodes, <[usize]>::to_vec);
            assert_eq!(parts.concat(), nodes);
        }
    }
}
