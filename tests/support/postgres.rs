//! A PostgreSQL of a test's own, for a journal whose server goes away.

use super::World;
pub use mz_sandbox::postgres::Stop;
use mz_sandbox::postgres::{PORT, SUPERUSER, Server};
use tokio_postgres::{Client, NoTls};

/// The server of a journal.
pub struct JournalServer {
    server: Server,
}

impl JournalServer {
    /// Starts one and makes it the journal of the world.
    pub fn of(world: &mut World) -> Self {
        let server = Self {
            server: Server::start().expect("a private PostgreSQL"),
        };
        world.set("STORE__URL", &server.url());
        server
    }

    /// How a journal names it.
    pub fn url(&self) -> String {
        let folder = self.server.folder().display().to_string();
        let folder = folder.replace('/', "%2F");
        format!("postgres://{SUPERUSER}@{folder}:{PORT}/postgres")
    }

    /// Ends it and keeps its data.
    pub fn stop(&mut self, mode: Stop) {
        self.server.stop(mode).expect("it stops");
    }

    /// Starts it again.
    pub fn start(&mut self) {
        self.server.start_again().expect("it starts");
    }

    /// A connection from outside.
    pub async fn connect(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls)
            .await
            .expect("connects");
        tokio::spawn(async move { drop(connection.await) });
        client
    }
}
