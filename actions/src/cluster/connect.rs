//! From a configured cluster to a client of its own.

use super::{ClusterConfig, answer::chain};
use kube::{
    Client, Config,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use std::time::Duration;

/// Installs ring as the process's TLS provider; any number of calls. `main` and tests that open a client call it first.
pub fn install_tls() {
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Reads the configuration and makes a client; nothing is sent yet. May block (files, credential plugins): the caller
/// keeps it off the async threads.
pub fn client(config: &ClusterConfig, runtime: &tokio::runtime::Handle) -> Result<Client, String> {
    let _entered = runtime.enter();
    let mut kube = match (&config.kubeconfig, &config.server) {
        (Some(_), Some(_)) => return Err("it has both a kubeconfig and a server; keep one of them".into()),
        (Some(file), None) => {
            let text = Kubeconfig::read_from(file).map_err(|error| format!("read kubeconfig {}: {}", file.display(), chain(&error)))?;
            let options = KubeConfigOptions { context: config.context.clone(), ..KubeConfigOptions::default() };
            runtime.block_on(Config::from_custom_kubeconfig(text, &options)).map_err(|error| format!("use kubeconfig {}: {}", file.display(), chain(&error)))?
        }
        (None, Some(server)) => {
            let uri: http::Uri = server.parse().map_err(|error| format!("'{server}' is not an address: {error}"))?;
            let mut kube = Config::new(uri);
            kube.auth_info = AuthInfo { token_file: config.token_file.as_ref().map(|file| file.display().to_string()), ..AuthInfo::default() };
            if let Some(file) = &config.ca_file {
                kube.root_cert = Some(certificates(file)?);
            }
            kube
        }
        (None, None) => Config::incluster().map_err(|error| format!("not in a cluster: {}; give it a kubeconfig or a server", chain(&error)))?,
    };
    if kube.cluster_url.scheme_str() == Some("http") && kube.root_cert.is_none() {
        // Without TLS there is nothing to verify, and the machine may have no certificates installed.
        kube.root_cert = Some(Vec::new());
    }
    // Retrying is ours alone: a write that was retried below us could happen twice.
    kube.default_retry = false;
    kube.connect_timeout = Some(Duration::from_secs(config.timeout_s.max(1)));
    kube.read_timeout = None;
    kube.write_timeout = None;
    Client::try_from(kube).map_err(|error| format!("connect: {}", chain(&error)))
}

fn certificates(file: &std::path::Path) -> Result<Vec<Vec<u8>>, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let read = |error: rustls::pki_types::pem::Error| format!("read certificates {}: {error}", file.display());
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_file_iter(file).map_err(read)? {
        found.push(certificate.map_err(read)?.to_vec());
    }
    if found.is_empty() { Err(format!("{} has no certificate in it", file.display())) } else { Ok(found) }
}
