//! External metrics over real TLS, as a cluster's API server asks for them: with its front-proxy certificate, or without the right one.

use axum::{Router, extract::Query, routing::get};
use bot::{app::App, config::Config, external};
use ledger::{Connect, Ledger, private};
use practice::{Practice, PracticeConfig};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use reqwest::{Certificate, Client, Identity, StatusCode};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    f64::consts::TAU,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const API: &str = "/apis/external.metrics.k8s.io/v1beta1";
const NAME: &str = "petrel-external-metrics.petrel.svc";
const DAY_S: i64 = 86_400;

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Authority {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Authority(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key, as PEM.
    fn sign(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut parameters = CertificateParams::new(vec![NAME.to_string()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        (parameters.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn client(&self, name: &str) -> (String, String) {
        self.sign(name, ExtendedKeyUsagePurpose::ClientAuth)
    }
}

/// A Prometheus that has measured a daily wave of requests up to some seconds ago.
async fn prometheus(age_s: Arc<AtomicI64>) -> String {
    let range = async move |Query(asked): Query<HashMap<String, String>>| {
        let number = |name: &str| asked[name].parse::<f64>().unwrap() as i64;
        let newest = jiff::Timestamp::now().as_second() - age_s.load(SeqCst);
        let value = |at: i64| 300.0 + 100.0 * (at.rem_euclid(DAY_S) as f64 / DAY_S as f64 * TAU).sin();
        let moments = (number("start")..=number("end").min(newest)).step_by(number("step") as usize);
        let points: Vec<Value> = moments.map(|at| json!([at, value(at).to_string()])).collect();
        let result = json!([{"metric": {}, "values": points}]);
        axum::Json(json!({"status": "success", "data": {"resultType": "matrix", "result": result}}))
    };
    let router = Router::new().route("/api/v1/query_range", get(range.clone()).post(range));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

struct World {
    app: App,
    address: SocketAddr,
    front_proxy: Authority,
    server: Authority,
    /// Of the newest sample.
    age_s: Arc<AtomicI64>,
    _practice: Practice,
    _folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

impl World {
    async fn new(name: &str) -> World {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let database = private::PrivatePostgres::join(&private::test_dir()).await.unwrap();
        let (url, _) = database.database(name).await.unwrap();
        let ledger = Ledger::connect(&Connect { url, connections: 4 }).await.unwrap();
        let practice = Practice::start(PracticeConfig { name: "prod".into(), ..PracticeConfig::default() })
            .await
            .unwrap();
        practice.seed_shop();
        practice.settled().await;
        let age_s = Arc::new(AtomicI64::new(0));
        let measured = prometheus(Arc::clone(&age_s)).await;
        let (front_proxy, server) = (Authority::new("front-proxy-ca"), Authority::new("serving-ca"));
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let (certificate, key) = server.sign("petrel", ExtendedKeyUsagePurpose::ServerAuth);
        write("tls.crt", &certificate);
        write("tls.key", &key);
        write("front-proxy-ca.crt", &front_proxy.0.pem());
        write("kubeconfig", &practice.kubeconfig());
        let config = format!(
            "[database]\nprivate = \"unused\"\n[policy]\nfile = \"unused\"\n\
             [[cluster]]\nname = \"prod\"\nkubeconfig = \"kubeconfig\"\n[cluster.prometheus]\nurl = \"{measured}\"\n\
             [external_metrics]\nlisten = \"127.0.0.1:0\"\ncluster = \"prod\"\ncert_file = \"tls.crt\"\nkey_file = \"tls.key\"\n\
             client_ca_file = \"front-proxy-ca.crt\"\nallowed_names = [\"front-proxy-client\"]\n"
        );
        let config = Config::parse(&folder.path().join("petrel.toml"), &config, &|_| None).unwrap();
        let policy = actions::policy::Policy::parse("policy.toml", "").unwrap();
        let app =
            App::new(config, ledger, actions::policy::PolicyHandle::fixed(policy), CancellationToken::new());
        let served = app.config.external_metrics.clone().unwrap();
        let listener = TcpListener::bind(served.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        external::start(&app, &served, listener, &TaskTracker::new()).unwrap();
        World { app, address, front_proxy, server, age_s, _practice: practice, _folder: folder }
    }

    /// As somebody with this certificate, or none.
    fn client(&self, identity: Option<(String, String)>) -> Client {
        let trusted = Certificate::from_pem(self.server.0.pem().as_bytes()).unwrap();
        let builder = Client::builder().tls_certs_only([trusted]).resolve(NAME, self.address);
        let builder = match identity {
            None => builder,
            Some((certificate, key)) => {
                builder.identity(Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap())
            }
        };
        builder.build().unwrap()
    }

    fn front_proxy(&self) -> Client {
        self.client(Some(self.front_proxy.client("front-proxy-client")))
    }

    fn at(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.address.port())
    }

    async fn get(&self, client: &Client, path: &str) -> (StatusCode, Value) {
        let answer = client.get(self.at(path)).send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }
}

fn forecast(selector: &str) -> String {
    format!("{API}/namespaces/shop/petrel_forecast?labelSelector={selector}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hpa_discovers_the_metric_and_reads_the_forecast() {
    let world = World::new("external_read").await;
    let client = world.front_proxy();
    let (_, groups) = world.get(&client, "/apis").await;
    assert_eq!(groups["groups"][0]["preferredVersion"]["groupVersion"], "external.metrics.k8s.io/v1beta1");
    let (_, group) = world.get(&client, "/apis/external.metrics.k8s.io").await;
    assert_eq!((&group["kind"], &group["name"]), (&json!("APIGroup"), &json!("external.metrics.k8s.io")));
    let (_, resources) = world.get(&client, API).await;
    assert_eq!(resources["resources"][0]["name"], "petrel_forecast");

    let (status, values) =
        world.get(&client, &forecast("workload%3Dcheckout%2Cmetric%3Dqps%2Cahead%3D1h")).await;
    assert_eq!((status, &values["kind"]), (StatusCode::OK, &json!("ExternalMetricValueList")), "{values}");
    let item = &values["items"][0];
    assert_eq!(item["metricName"], "petrel_forecast");
    assert_eq!(item["metricLabels"], json!({"workload": "checkout", "metric": "qps", "ahead": "1h"}));
    let text = item["value"].as_str().unwrap();
    let value = match text.strip_suffix('m') {
        Some(thousandths) => thousandths.parse::<f64>().unwrap() / 1000.0,
        None => text.parse::<f64>().unwrap(),
    };
    // The highest of the wave within the hour to come.
    let now = jiff::Timestamp::now().as_second();
    let wave = |at: i64| 300.0 + 100.0 * (at.rem_euclid(DAY_S) as f64 / DAY_S as f64 * TAU).sin();
    let highest = (now..now + 3600).step_by(60).map(wave).fold(0.0, f64::max);
    assert!((value - highest).abs() < 15.0, "{value} for {highest}");
    let at: jiff::Timestamp = item["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(now - at.as_second() < 300, "{at} is when the newest sample was taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_front_proxy_is_let_in() {
    let world = World::new("external_front_proxy").await;
    let path = world.at(API);
    let refused = async |client: Client| client.get(&path).send().await.is_err();
    assert!(refused(world.client(None)).await, "no certificate");
    let other = Authority::new("front-proxy-ca");
    assert!(refused(world.client(Some(other.client("front-proxy-client")))).await, "another authority");
    let serving = world.front_proxy.sign("front-proxy-client", ExtendedKeyUsagePurpose::ServerAuth);
    assert!(refused(world.client(Some(serving))).await, "a certificate for servers");

    let somebody = world.client(Some(world.front_proxy.client("somebody")));
    let (status, said) = world.get(&somebody, API).await;
    assert_eq!((status, &said["reason"]), (StatusCode::FORBIDDEN, &json!("Forbidden")), "{said}");
    assert!(said["message"].as_str().unwrap().contains("allowed_names"), "{said}");
    assert_eq!(world.get(&world.front_proxy(), API).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_or_refused_forecast_is_an_error_and_never_an_old_number() {
    let world = World::new("external_stale").await;
    let client = world.front_proxy();
    let asked = forecast("workload%3Dcheckout");
    assert_eq!(world.get(&client, &asked).await.0, StatusCode::OK);
    let failed = async |why: &str| {
        let (status, said) = world.get(&client, &asked).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{said}");
        assert_eq!((&said["kind"], &said["reason"]), (&json!("Status"), &json!("ServiceUnavailable")));
        assert!(said["message"].as_str().unwrap().contains(why), "{said}");
        assert_eq!(said.get("items"), None);
    };
    world.age_s.store(3600, SeqCst);
    failed("the newest sample is").await;
    world.age_s.store(30 * DAY_S, SeqCst);
    failed("there is no sample of it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_said_as_kubernetes_says_it() {
    let world = World::new("external_wrong").await;
    let client = world.front_proxy();
    for (path, reason, words) in [
        (forecast("metric%3Dqps"), "BadRequest", "select a workload"),
        (forecast("workload%3Dnobody"), "BadRequest", "nobody"),
        (format!("{API}/namespaces/shop/other"), "NotFound", "petrel_forecast"),
        ("/metrics".to_string(), "NotFound", "no such path"),
    ] {
        let (_, said) = world.get(&client, &path).await;
        assert_eq!(said["reason"], reason, "{path}: {said}");
        assert!(said["message"].as_str().unwrap().contains(words), "{path}: {said}");
    }
    let deleted = client.delete(world.at(API)).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn certificates_that_do_not_fit_are_told_before_anything_is_served() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let (certificate, key) = authority.client("a");
    let (_, other) = authority.client("b");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("ca", &authority.0.pem());
    write("crt", &certificate);
    write("key", &other);
    let said = |folder: &Path| {
        let [cert_file, key_file, client_ca_file] = ["crt", "key", "ca"].map(|name| folder.join(name));
        let config = bot::config::ExternalMetrics {
            listen: "127.0.0.1:0".parse().unwrap(),
            cluster: "prod".into(),
            cert_file,
            key_file,
            client_ca_file,
            allowed_names: Vec::new(),
        };
        external::tls(&config).err().map(|error| error.to_string())
    };
    assert_eq!(said(folder.path()).as_deref(), Some("the certificate and its key"));
    write("key", &key);
    assert_eq!(said(folder.path()), None);
    write("ca", "nothing");
    assert!(said(folder.path()).unwrap().ends_with("it holds no certificate"));
}
