//! Who waits for whom: the coordinator takes one statement of DDL, and plans one dataflow, at a time; the cluster that
//! answers questions about the catalog computes one dataflow at a time. A peek waits for nobody.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::{Class, Priced};

/// How much of a dataflow's price is its planning. Estimate.
const PLANNING: f64 = 0.5;
/// So much of a price is left for the stand-in's own execution. What that does not need is waited for afterwards.
const OWN: Duration = Duration::from_millis(20);

/// What is there once on a server.
#[derive(Debug, Default)]
pub struct Coordinator {
    ddl: Arc<Mutex<()>>,
    catalog_server: Arc<Mutex<()>>,
}

impl Coordinator {
    /// Waits for a statement's turn, and then until little of its price is left. Answers when the rest is over; the
    /// turn ends at that moment too, whatever becomes of the statement. A statement that is given up while it waits has
    /// had no turn, or ends it. The price is paid from when the statement arrived, or from the end of its wait for others.
    pub async fn charge(&self, priced: &Priced, factor: f64, arrived: Instant) -> Instant {
        let price = Duration::from_secs_f64((priced.ms * factor / 1000.0).max(0.0));
        match priced.class {
            Class::Ddl => {
                let (turn, began) = Self::turn(&self.ddl, arrived).await;
                Self::spend(turn, began, price).await
            }
            Class::Dataflow | Class::Subscribe => {
                let (cluster, began) = if priced.reads == "user" {
                    (None, arrived)
                } else {
                    let (cluster, began) = Self::turn(&self.catalog_server, arrived).await;
                    (Some(cluster), began)
                };
                let (turn, began) = Self::turn(&self.ddl, began).await;
                tokio::time::sleep_until(began + price.mul_f64(PLANNING)).await;
                drop(turn);
                match cluster {
                    Some(cluster) => Self::spend(cluster, began, price).await,
                    None => Self::wait(began, price).await,
                }
            }
            Class::Session
            | Class::Transaction
            | Class::Constant
            | Class::Peek
            | Class::SlowPeek
            | Class::Write
            | Class::NoChange => Self::wait(arrived, price).await,
        }
    }

    /// A turn, and since when it is this statement's: since it arrived, unless others had it.
    async fn turn(of: &Arc<Mutex<()>>, arrived: Instant) -> (OwnedMutexGuard<()>, Instant) {
        match Arc::clone(of).try_lock_owned() {
            Ok(turn) => (turn, arrived),
            Err(_) => {
                let turn = Arc::clone(of).lock_owned().await;
                (turn, Instant::now())
            }
        }
    }

    async fn wait(began: Instant, price: Duration) -> Instant {
        let due = began + price;
        tokio::time::sleep_until(due - OWN.min(price)).await;
        due
    }

    async fn spend(turn: OwnedMutexGuard<()>, began: Instant, price: Duration) -> Instant {
        let due = Self::wait(began, price).await;
        // Held by a task of its own: a statement that hangs, or whose client leaves, holds nobody up.
        tokio::spawn(async move {
            tokio::time::sleep_until(due).await;
            drop(turn);
        });
        due
    }
}
