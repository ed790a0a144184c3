//! A way to a PostgreSQL server that a test can cut: seen from the node, the database is down.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Forwards a loopback port to the server of a database URL.
#[derive(Debug)]
pub struct Link {
    target: SocketAddr,
    port: u16,
    url: String,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    stop: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    acceptor: JoinHandle<()>,
}

impl Link {
    /// Open a link to the database of this URL (`postgres://user@127.0.0.1:port/name`).
    #[must_use]
    pub fn to(url: &str) -> Self {
        let (scheme_and_user, rest) = url.split_once('@').expect("user@host in the URL");
        let (address, name) = rest.split_once('/').expect("a database name in the URL");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut link = Self {
            target: address.parse().expect("a numeric address in the URL"),
            port,
            url: format!("{scheme_and_user}@127.0.0.1:{port}/{name}"),
            open: None,
        };
        link.serve(listener);
        link
    }

    /// The database's URL by way of this link.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Drop all connections and refuse new ones.
    pub fn cut(&mut self) {
        if let Some(open) = self.open.take() {
            open.stop.store(true, Ordering::SeqCst);
            // Wakes the acceptor, which then drops the listener.
            let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
            open.acceptor.join().unwrap();
            for stream in open.streams.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Let connections through again.
    pub fn restore(&mut self) {
        let mut listener = None;
        crate::wait_for("the link's port is free again", Duration::from_secs(10), || {
            listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).ok();
            listener.is_some()
        });
        self.serve(listener.unwrap());
    }

    fn serve(&mut self, listener: TcpListener) {
        let stop = Arc::new(AtomicBool::new(false));
        let streams = Arc::new(Mutex::new(Vec::new()));
        let (target, stopped, kept) = (self.target, Arc::clone(&stop), Arc::clone(&streams));
        let acceptor = std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(far) = TcpStream::connect(target) else { continue };
                kept.lock()
                    .unwrap()
                    .extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                forward(near.try_clone().unwrap(), far.try_clone().unwrap());
                forward(far, near);
            }
        });
        self.open = Some(Open {
            stop,
            streams,
            acceptor,
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.cut();
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            if length == 0 || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}
