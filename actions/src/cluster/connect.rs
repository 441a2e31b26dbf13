//! From a configured cluster to a client of its own.

use super::{ClusterConfig, answer::chain};
use http::HeaderValue;
use kube::{
    Client, Config,
    client::AuthError,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::time::Duration;

/// A watch without a byte for so long is dead.
const WATCH: Duration = Duration::from_secs(310);

/// Installs ring as the process's TLS provider; any number of calls. `main` and tests that open a client call it first.
pub fn install_tls() {
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Reads the configuration and makes a client; nothing is sent yet. May block (files, credential plugins): the caller
/// keeps it off the async threads.
pub fn client(config: &ClusterConfig, runtime: &tokio::runtime::Handle) -> Result<Client, String> {
    let _entered = runtime.enter();
    let mut kube = read(config, runtime)?;
    kube.read_timeout = None;
    connect(kube)
}

/// One for watches: it puts the token of a token file into its calls by itself. May block, as [`client`].
pub fn watcher(config: &ClusterConfig, runtime: &tokio::runtime::Handle) -> Result<Client, String> {
    let _entered = runtime.enter();
    let mut kube = read(config, runtime)?;
    if config.server.is_some() {
        kube.auth_info.token_file = config.token_file.as_ref().map(|file| file.display().to_string());
    }
    // Longer than a server keeps a watch open without a word.
    kube.read_timeout = Some(WATCH);
    connect(kube)
}

fn connect(kube: Config) -> Result<Client, String> {
    Client::try_from(kube).map_err(|error| match error {
        kube::Error::Auth(error) => sign_in_failed(&error),
        error => format!("connect: {}", chain(&error)),
    })
}

fn read(config: &ClusterConfig, runtime: &tokio::runtime::Handle) -> Result<Config, String> {
    let mut kube = match (&config.kubeconfig, &config.server) {
        (Some(_), Some(_)) => return Err("it has both a kubeconfig and a server; keep one of them".into()),
        (Some(file), None) => {
            let text = Kubeconfig::read_from(file)
                .map_err(|error| format!("read kubeconfig {}: {}", file.display(), chain(&error)))?;
            let options =
                KubeConfigOptions { context: config.context.clone(), ..KubeConfigOptions::default() };
            runtime
                .block_on(Config::from_custom_kubeconfig(text, &options))
                .map_err(|error| format!("use kubeconfig {}: {}", file.display(), chain(&error)))?
        }
        (None, Some(server)) => {
            let uri: http::Uri =
                server.parse().map_err(|error| format!("'{server}' is not an address: {error}"))?;
            let mut kube = Config::new(uri);
            if let Some(file) = &config.ca_file {
                kube.root_cert = Some(certificates(file)?);
            }
            kube
        }
        (None, None) => Config::incluster().map_err(|error| {
            format!("not in a cluster: {}; give it a kubeconfig or a server", chain(&error))
        })?,
    };
    if kube.cluster_url.scheme_str() == Some("http") && kube.root_cert.is_none() {
        // Without TLS there is nothing to verify, and the machine may have no certificates installed.
        kube.root_cert = Some(Vec::new());
    }
    // Retrying is ours alone: a write that was retried below us could happen twice.
    kube.default_retry = false;
    kube.connect_timeout = Some(Duration::from_secs(config.timeout_s.max(1)));
    kube.write_timeout = None;
    Ok(kube)
}

/// The Authorization header of a cluster that has a token file. Read for every call: a rotated token counts at once.
pub async fn bearer(config: &ClusterConfig) -> Result<Option<HeaderValue>, String> {
    let Some(file) = config.token_file.as_ref().filter(|_| config.server.is_some()) else { return Ok(None) };
    let token = tokio::fs::read_to_string(file)
        .await
        .map_err(|error| format!("read token file {}: {error}", file.display()))?;
    // Files that people write end with a newline.
    let mut header = HeaderValue::try_from(format!("Bearer {}", token.trim()))
        .map_err(|_| format!("token file {} holds no token", file.display()))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// In words that never hold what a credentials plugin printed: that is where the credentials are (G12).
pub fn sign_in_failed(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => format!("sign in: the credentials plugin of the kubeconfig failed ({}); run it by hand to see why", out.status),
        AuthError::AuthExecParse(_) => "sign in: the credentials plugin of the kubeconfig printed no readable credentials; run it by hand to see why".into(),
        error => format!("sign in: {}", chain(error)),
    }
}

fn certificates(file: &std::path::Path) -> Result<Vec<Vec<u8>>, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let read =
        |error: rustls::pki_types::pem::Error| format!("read certificates {}: {error}", file.display());
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_file_iter(file).map_err(read)? {
        found.push(certificate.map_err(read)?.to_vec());
    }
    if found.is_empty() { Err(format!("{} has no certificate in it", file.display())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Self-signed, without its key.
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBQjCB9aADAgECAhRuS5R81ce4qyawPLDRjOgGC50w4jAFBgMrZXAwFjEUMBIG
A1UEAwwLcGV0cmVsLXRlc3QwIBcNMjYxMTIxMDkxNzAxWhgPMjEyNjEwMjgwOTE3
MDFaMBYxFDASBgNVBAMMC3BldHJlbC10ZXN0MCowBQYDK2VwAyEAYruv79scjKjt
18NJpgtHIdcQfY7qoCIQapqx+jKhaROjUzBRMB0GA1UdDgQWBBSJAx7rDJ2GNteC
dTwBzbcPZGF29zAfBgNVHSMEGDAWgBSJAx7rDJ2GNteCdTwBzbcPZGF29zAPBgNV
HRMBAf8EBTADAQH/MAUGAytlcANBAFVmYrtCwVpSiCHsxAfcterznTAwGDPBy5Xi
VUmb5Dy6BcO1U88hjOE2poIwk0bwiskgLScGqJfCM8aK8wwl8wk=
-----END CERTIFICATE-----
";

    fn config(server: &str) -> ClusterConfig {
        ClusterConfig {
            name: "x".into(),
            kubeconfig: None,
            context: None,
            server: Some(server.into()),
            token_file: None,
            ca_file: None,
            labels: Default::default(),
            timeout_s: 1,
            watch: false,
            pools: Vec::new(),
            prometheus: None,
        }
    }

    #[tokio::test]
    async fn a_server_with_its_own_certificate_authority_gets_a_client() {
        install_tls();
        let dir = tempfile::tempdir().unwrap();
        let (good, empty) = (dir.path().join("ca.pem"), dir.path().join("empty.pem"));
        std::fs::write(&good, format!("{CERTIFICATE}{CERTIFICATE}")).unwrap();
        std::fs::write(&empty, "").unwrap();
        assert_eq!(certificates(&good).unwrap().len(), 2);
        let runtime = tokio::runtime::Handle::current();
        let made = tokio::task::spawn_blocking(move || {
            let with = |ca: std::path::PathBuf| {
                client(&ClusterConfig { ca_file: Some(ca), ..config("https://127.0.0.1:6443") }, &runtime)
                    .map(drop)
            };
            (with(good), with(empty))
        });
        let (good, empty) = made.await.unwrap();
        good.unwrap();
        assert!(empty.unwrap_err().ends_with("empty.pem has no certificate in it"));
    }

    #[tokio::test]
    async fn a_token_is_read_anew_and_without_its_newline() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let config = ClusterConfig { token_file: Some(file.clone()), ..config("https://127.0.0.1:6443") };
        for token in ["one", "two"] {
            std::fs::write(&file, format!("{token}\n")).unwrap();
            assert_eq!(bearer(&config).await.unwrap().unwrap(), format!("Bearer {token}"));
        }
        std::fs::write(&file, "a\nb").unwrap();
        assert!(bearer(&config).await.unwrap_err().ends_with("token holds no token"));
    }
}
