//! Between the client and the server: faults that a healthy server does not make.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// What becomes of a POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is carried out, and nobody hears of it.
    AnswerLost,
    /// It is carried out, and half of the answer comes.
    AnswerCut,
    /// It is carried out, and a failure is answered.
    FailureAfter(u16),
    /// It is not carried out.
    FailureInstead(u16),
}

#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    /// POSTs that came so far.
    pub(crate) posts: Arc<AtomicUsize>,
    /// Requests of any kind.
    pub(crate) requests: Arc<AtomicUsize>,
}

impl Proxy {
    /// Each POST, counted from 0, has the fault that `plan` says, or none.
    pub(crate) async fn start(upstream: &str, plan: impl Fn(usize) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            posts: Arc::default(),
            requests: Arc::default(),
        };
        let (posts, requests, plan) = (proxy.posts.clone(), proxy.requests.clone(), Arc::new(plan));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, plan) = (upstream.clone(), plan.clone());
                let (posts, requests) = (posts.clone(), requests.clone());
                tokio::spawn(async move {
                    let _ = serve(client, &upstream, &posts, &requests, &*plan).await;
                });
            }
        });
        proxy
    }
}

/// One request a connection.
async fn serve(
    mut client: TcpStream,
    upstream: &str,
    posts: &AtomicUsize,
    requests: &AtomicUsize,
    plan: &(dyn Fn(usize) -> Option<Fault> + Send + Sync),
) -> std::io::Result<()> {
    let Some(request) = request(&mut client).await? else {
        return Ok(());
    };
    requests.fetch_add(1, Ordering::SeqCst);
    let fault = request
        .starts_with(b"POST ")
        .then(|| plan(posts.fetch_add(1, Ordering::SeqCst)))
        .flatten();
    let failure = |status| format!("HTTP/1.1 {status} Fault\r\nContent-Length: 2\r\nConnection: close\r\n\r\n<>");
    if let Some(Fault::FailureInstead(status)) = fault {
        return client.write_all(failure(status).as_bytes()).await;
    }
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(&request).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    match fault {
        None | Some(Fault::FailureInstead(_)) => client.write_all(&answer).await,
        Some(Fault::AnswerLost) => Ok(()),
        Some(Fault::AnswerCut) => client.write_all(&answer[..answer.len() - 40]).await,
        Some(Fault::FailureAfter(status)) => client.write_all(failure(status).as_bytes()).await,
    }
}

/// A whole request, with the connection to be closed after it.
async fn request(client: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16_384];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length:")?
                        .trim()
                        .parse()
                        .ok()
                })
                .unwrap_or(0_usize);
            while bytes.len() < end + 4 + length {
                let read = client.read(&mut buffer).await?;
                if read == 0 {
                    return Ok(None);
                }
                bytes.extend_from_slice(&buffer[..read]);
            }
            let mut request = format!("{head}\r\nConnection: close\r\n\r\n").into_bytes();
            request.extend_from_slice(&bytes[end + 4..]);
            return Ok(Some(request));
        }
        let read = client.read(&mut buffer).await?;
        if read == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}

/// TLS before `upstream`, with the certificate that `scripts/certs` made.
pub(crate) async fn tls(upstream: &str, certificates: &Path) -> SocketAddr {
    let pem = certificates.join("server.pem");
    let chain = CertificateDer::pem_file_iter(&pem)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(&pem).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else {
                    return;
                };
                let Ok(mut server) = TcpStream::connect(upstream).await else {
                    return;
                };
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}
