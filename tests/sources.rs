//! Projects that come from git repositories, made here by git's own command line.

#[path = "sources/fetch.rs"]
mod fetch;
#[path = "sources/https.rs"]
mod https;
#[path = "sources/releases.rs"]
mod releases;
#[path = "sources/repository.rs"]
mod repository;
#[path = "sources/requests.rs"]
mod requests;
#[path = "sources/server.rs"]
mod server;
#[path = "sources/ssh.rs"]
mod ssh;
mod support;
