//! A pooler in transaction mode with one session: whoever sends a statement has it until its transaction ends.

use super::proxy::{Stream, reach};
use crate::adapters::store::tests::Bed;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// A message of the protocol with its type; none of them is long here.
async fn message(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let mut whole = head.to_vec();
    whole.resize(usize::try_from(length).ok()? + 1, 0);
    stream.read_exact(&mut whole[5..]).await.ok()?;
    Some((head[0], whole))
}

/// What the server says until it waits for the next query, and whether a transaction is open then.
async fn answer(server: &mut (impl AsyncReadExt + Unpin)) -> Option<(Vec<u8>, bool)> {
    let mut said = Vec::new();
    loop {
        let (kind, whole) = message(server).await?;
        said.extend(&whole);
        if kind == b'Z' {
            return Some((said, whole[5] != b'I'));
        }
    }
}

/// Leads the way of a bed through a new pooler.
pub(super) async fn before(bed: &mut Bed) {
    let address = bed.address();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (host, its_port) = (
        address.config.get_hosts()[0].clone(),
        address.config.get_ports()[0],
    );
    let mut server = reach(&host, its_port).await;
    let user = address.config.get_user().unwrap_or("postgres");
    let database = address.config.get_dbname().expect("named");
    let words = format!("user\0{user}\0database\0{database}\0\0");
    let length = u32::try_from(words.len() + 8).expect("short");
    let mut login = length.to_be_bytes().to_vec();
    login.extend(196_608_u32.to_be_bytes());
    login.extend(words.as_bytes());
    server.write_all(&login).await.expect("sent");
    let (welcome, _) = answer(&mut server).await.expect("lets everybody in");
    let server = Arc::new(Mutex::new(server));
    bed.url = format!(
        "postgres://{user}@127.0.0.1:{port}/{database}?sslmode=disable&schema={}",
        address.schema
    );
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, welcome.clone(), server.clone()));
        }
    });
}

async fn carry(
    mut client: TcpStream,
    welcome: Vec<u8>,
    server: Arc<Mutex<Box<dyn Stream>>>,
) -> Option<()> {
    let mut length = [0; 4];
    client.read_exact(&mut length).await.ok()?;
    let rest = usize::try_from(u32::from_be_bytes(length)).ok()? - 4;
    client.read_exact(&mut vec![0; rest]).await.ok()?;
    client.write_all(&welcome).await.ok()?;
    loop {
        let (mut kind, mut asked) = message(&mut client).await?;
        let mut session = server.lock().await;
        loop {
            session.write_all(&asked).await.ok()?;
            if matches!(kind, b'Q' | b'S') {
                let (said, is_open) = answer(&mut *session).await?;
                client.write_all(&said).await.ok()?;
                if !is_open {
                    break;
                }
            }
            (kind, asked) = message(&mut client).await?;
            if kind == b'X' {
                return None;
            }
        }
    }
}
