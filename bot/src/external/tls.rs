//! Connections from a cluster's API server, and from nobody who has no certificate of its front-proxy authority. Certificate files that
//! change are read anew; while they cannot be, the old ones stay.

use super::common_name::common_name;
use crate::config::ExternalMetrics;
use arc_swap::ArcSwap;
use axum::{extract::connect_info::Connected, serve::IncomingStream};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long saying hello may take.
const HELLO: Duration = Duration::from_secs(10);
/// Connections that may say hello at once; the rest wait to be accepted.
const HELLOS: usize = 128;
/// How often the files are read.
const REREAD: Duration = Duration::from_secs(60);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// A file cannot be used.
    #[error("read {}: {why}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The certificate and its key do not fit.
    #[error("the certificate and its key")]
    Certificate(#[source] rustls::Error),
    /// No client could be verified.
    #[error("the authority of clients")]
    Client(#[source] VerifierBuilderError),
}

/// As the files say. Clients need a certificate of the front-proxy authority.
pub fn tls(config: &ExternalMetrics) -> Result<ServerConfig, TlsFault> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&config.client_ca_file)? {
        roots.add(certificate).map_err(|error| unusable(&config.client_ca_file, error))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(TlsFault::Client)?;
    let chain = certificates(&config.cert_file)?;
    let key =
        PrivateKeyDer::from_pem_file(&config.key_file).map_err(|error| unusable(&config.key_file, error))?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsFault::Certificate)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(TlsFault::Certificate)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = read.map_err(|error| unusable(file, error))?;
    if all.is_empty() { Err(unusable(file, "it holds no certificate")) } else { Ok(all) }
}

fn unusable(file: &Path, why: impl ToString) -> TlsFault {
    TlsFault::File { file: file.to_path_buf(), why: why.to_string() }
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The common name of its certificate.
    pub name: Option<String>,
}

impl Connected<IncomingStream<'_, Listener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Caller {
        let certificate = stream.io().get_ref().1.peer_certificates().and_then(<[_]>::first);
        Caller { name: certificate.and_then(|certificate| common_name(certificate)) }
    }
}

/// Connections that have said hello.
pub(super) struct Listener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Listener {
    pub(super) fn new(
        listener: TcpListener,
        config: &ExternalMetrics,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<Listener, TlsFault> {
        let tls = Arc::new(ArcSwap::from_pointee(tls(config)?));
        let address = listener
            .local_addr()
            .map_err(|error| TlsFault::File { file: PathBuf::from("the socket"), why: error.to_string() })?;
        let (sender, ready) = mpsc::channel(HELLOS);
        tasks.spawn(reread(Arc::clone(&tls), config.clone(), stop.clone()));
        tasks.spawn(greet(listener, tls, sender, stop.clone()));
        Ok(Listener { ready, address })
    }
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // Stopping: nobody comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Whoever is slow to say hello holds up nobody else.
async fn greet(
    listener: TcpListener,
    tls: Arc<ArcSwap<ServerConfig>>,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
    stop: CancellationToken,
) {
    let hellos = Arc::new(Semaphore::new(HELLOS));
    loop {
        let accepted = async {
            let turn = Arc::clone(&hellos).acquire_owned().await;
            (turn, listener.accept().await)
        };
        let (turn, accepted) = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: some close meanwhile.
                tracing::warn!(%error, "could not accept a connection for external metrics");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let (acceptor, ready) = (TlsAcceptor::from(tls.load_full()), ready.clone());
        tokio::spawn(async move {
            let _turn = turn;
            match tokio::time::timeout(HELLO, acceptor.accept(stream)).await {
                // Nobody receives any more only when everything stops.
                Ok(Ok(stream)) => drop(ready.send((stream, from)).await),
                Ok(Err(error)) => {
                    tracing::info!(%error, %from, "a connection for external metrics was refused")
                }
                Err(_) => tracing::info!(%from, "a connection for external metrics never said hello"),
            }
        });
    }
}

async fn reread(tls: Arc<ArcSwap<ServerConfig>>, config: ExternalMetrics, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(REREAD) => {}
        }
        match self::tls(&config) {
            Ok(new) => tls.store(Arc::new(new)),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    error,
                    "the certificates for external metrics cannot be read; the old ones stay"
                );
            }
        }
    }
}
