//! `[external_metrics]`: forecasts for a cluster's HPAs.

use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Where, for whom, and by which certificates.
#[derive(Clone, Debug)]
pub struct ExternalMetrics {
    /// A listener of its own.
    pub listen: SocketAddr,
    /// Whose API server calls; its workloads are forecast.
    pub cluster: String,
    /// PEM: the certificate that the `APIService` trusts, and what it was signed by.
    pub cert_file: PathBuf,
    /// PEM.
    pub key_file: PathBuf,
    /// PEM: the cluster's `requestheader-client-ca-file`.
    pub client_ca_file: PathBuf,
    /// Common names that its API server may go by, the cluster's `requestheader-allowed-names`; empty: any of that authority.
    pub allowed_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    listen: String,
    cluster: String,
    cert_file: PathBuf,
    key_file: PathBuf,
    client_ca_file: PathBuf,
    allowed_names: Vec<String>,
}

impl Raw {
    /// `clusters`: those with a Prometheus, by name. `base`: what relative files are meant from.
    pub(super) fn resolve(self, clusters: &[&str], base: &Path) -> Result<ExternalMetrics, String> {
        let listen = self.listen.parse().map_err(|_| {
            format!(
                "[external_metrics] listen = \"{}\" is not an address; write \"0.0.0.0:6443\"",
                self.listen
            )
        })?;
        if !clusters.contains(&self.cluster.as_str()) {
            return Err(format!(
                "[external_metrics] cluster = \"{}\": there is no [[cluster]] of that name with a [cluster.prometheus]",
                self.cluster
            ));
        }
        Ok(ExternalMetrics {
            listen,
            cluster: self.cluster,
            cert_file: base.join(self.cert_file),
            key_file: base.join(self.key_file),
            client_ca_file: base.join(self.client_ca_file),
            allowed_names: self.allowed_names,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_serves_a_cluster_that_is_measured() {
        let raw = |listen: &str, cluster: &str| {
            let text = format!(
                "listen = '{listen}'\ncluster = '{cluster}'\ncert_file = 'tls.crt'\nkey_file = '/keys/tls.key'\n\
                 client_ca_file = 'ca.crt'\nallowed_names = ['front-proxy-client']"
            );
            toml::from_str::<Raw>(&text).unwrap().resolve(&["prod"], Path::new("/etc/petrel"))
        };
        let read = raw("0.0.0.0:6443", "prod").unwrap();
        assert_eq!(read.cert_file, Path::new("/etc/petrel/tls.crt"));
        assert_eq!(read.key_file, Path::new("/keys/tls.key"));
        assert!(raw("6443", "prod").unwrap_err().contains("write \"0.0.0.0:6443\""));
        assert!(raw("0.0.0.0:6443", "dev").unwrap_err().contains("no [[cluster]] of that name"));
    }
}
