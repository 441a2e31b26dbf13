//! Forecasts in chat and for autoscalers, of what a real Prometheus has measured.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use serde_json::Value;
use std::{f64::consts::TAU, fmt::Write, io::Write as _, path::Path, time::Duration};
use tests::{
    console::Console,
    door::{BySlack, Door},
    process::program,
    prometheus::Prometheus,
    slack::channel_id,
    wait,
    world::{Inward, Platforms, World, token},
};

const DAYS: i64 = 15;
const STEP: i64 = 120;

/// Two pods of `checkout` that together use 1.2 cores on average, a third more or less by the time of day: most at noon UTC; one of
/// `checkout-api`, which is nobody's business. Memory for three hours only.
fn past(namespace: &str) -> String {
    let now = jiff::Timestamp::now().as_second() / STEP * STEP;
    let pods = [
        ("checkout-7d9f8c5b4-x2k4q", 0.6),
        ("checkout-7d9f8c5b4-b9w7z", 0.6),
        ("checkout-api-7d9f8c5b4-b9w7z", 50.0),
    ];
    let mut text = String::new();
    for (pod, cores) in pods {
        let labels = format!("{{namespace=\"{namespace}\",pod=\"{pod}\",container=\"app\"}}");
        let mut used = 0.0;
        for at in (now - DAYS * 86_400..=now).step_by(STEP as usize) {
            let hour = at.rem_euclid(86_400) as f64 / 3600.0;
            used += cores * (1.0 + 0.33 * ((hour - 12.0) / 24.0 * TAU).cos()) * STEP as f64;
            let _ = writeln!(text, "container_cpu_usage_seconds_total{labels} {used:.3} {at}");
        }
        for at in (now - 3 * 3600..=now).step_by(STEP as usize) {
            let _ = writeln!(text, "container_memory_working_set_bytes{labels} 67108864 {at}");
        }
    }
    text
}

/// A world whose Petrel also knows its cluster as `measured`, by a Prometheus with this past.
async fn measured(world: &mut World) -> Prometheus {
    let prometheus = known(world, "").await;
    world.start().await.expect("a replica");
    prometheus
}

/// The same before it starts, with further text for its config.
async fn known(world: &World, more: &str) -> Prometheus {
    let prometheus = Prometheus::with_past(&past(&world.cluster.namespace)).await.expect("a prometheus");
    let mut config = std::fs::OpenOptions::new().append(true).open(world.config()).expect("the config");
    write!(
        config,
        "\n[[cluster]]\nname = \"measured\"\nkubeconfig = \"{}\"\n[cluster.prometheus]\nurl = \"{}\"\n{more}",
        world.cluster.kubeconfig.display(),
        prometheus.url
    )
    .expect("written");
    prometheus
}

/// The number before `cores` after these words.
fn cores(text: &str, after: &str) -> f64 {
    let rest = text.split_once(after).unwrap_or_else(|| panic!("no '{after}' in {text}")).1;
    rest.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{rest}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_in_chat_has_its_numbers_its_reasons_and_its_picture() {
    if !Prometheus::is_installed() {
        return eprintln!("skipped: prometheus and promtool are not installed (./dev test installs them)");
    }
    let mut world = World::among(Platforms::both(Inward::Connection)).await.expect("a world");
    world.cluster.deployment("checkout", 2).await.expect("a deployment");
    let _prometheus = measured(&mut world).await;
    world.connected_to_slack().await;
    let ann = Console::sign_in(&world.replicas[0].base, &token("ann")).await.expect("signed in");
    let line =
        |more: &str| format!("forecast deploy/checkout {more} -n {} -c measured", world.cluster.namespace);

    let said = ann.say(&line("")).await.expect("an answer");
    let peak = cores(&said.text, "Expected to peak at ");
    assert!((1.5..1.7).contains(&peak), "1.2 cores and a third are 1.6: {}", said.text);
    let noon = said.text.split_once(" around ").expect("a time").1;
    assert!(["11:", "12:"].contains(&&noon[11..14]), "at noon: {}", said.text);
    for words in ["every day", "MASE", "seasonal naive", "% in the 95 % one", "0.02 cores", "limits"] {
        assert!(said.text.contains(words), "{words}: {}", said.text);
    }
    let picture = said.html.split_once("/pictures/").expect("a picture").1;
    let picture = picture.split_once(".svg").expect("as SVG").0;
    let svg = ann.page(&format!("/pictures/{picture}.svg")).await.expect("the picture");
    assert!(svg.starts_with("<svg") && svg.contains("cpu of Deployment checkout"), "{}", &svg[..200]);

    let short = ann.say(&line("--metric memory")).await.expect("an answer");
    assert!(
        short.text.contains("No forecast: memory") && short.text.contains("is too short"),
        "{}",
        short.text
    );
    assert!(!short.html.contains("/pictures/"));
    let missing = ann.say(&line("--metric qps")).await.expect("an answer");
    assert!(
        missing.text.contains("There is no sample of it: sum(rate(http_requests_total"),
        "{}",
        missing.text
    );

    BySlack::new(world.slack()).say("ann", &line("--horizon 12h")).await;
    // The card may come first, and its picture with an edit.
    wait::until("the picture in Slack", Duration::from_secs(30), || async {
        let messages = world.slack().messages(&channel_id("ops"));
        let mut blocks = messages.iter().flat_map(|message| message.content.all_blocks());
        let of_checkout = |alt: &str| alt.starts_with("cpu of Deployment checkout");
        blocks
            .any(|block| block["type"] == "image" && block["alt_text"].as_str().is_some_and(of_checkout))
            .then_some(())
    })
    .await;
}

/// Writes the files of `[external_metrics]`; what a cluster's API server shows of itself, and the authority that it trusts.
fn certificates(folder: &Path) -> (reqwest::Identity, reqwest::Certificate) {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key")).expect("an authority");
    let sign = |name: &str, purpose: ExtendedKeyUsagePurpose| {
        let mut parameters = CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key");
        (parameters.signed_by(&key, &authority).expect("a certificate").pem(), key.serialize_pem())
    };
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    let (certificate, key) = sign("petrel", ExtendedKeyUsagePurpose::ServerAuth);
    write("tls.crt", &certificate);
    write("tls.key", &key);
    write("ca.crt", &authority.pem());
    let (certificate, key) = sign("front-proxy-client", ExtendedKeyUsagePurpose::ClientAuth);
    let identity =
        reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).expect("an identity");
    (identity, reqwest::Certificate::from_pem(authority.pem().as_bytes()).expect("an authority"))
}

/// What `petrel check` prints about external metrics.
async fn checked(world: &World) -> String {
    let config = world.config().to_str().expect("utf-8 path");
    let run = tokio::process::Command::new(program("petrel")).args(["check", "--config", config]).output();
    let printed = String::from_utf8_lossy(&run.await.expect("petrel check").stdout).into_owned();
    let lines = printed.lines().filter(|line| line.contains("external metrics"));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clusters_api_server_reads_forecasts_over_tls() {
    if !Prometheus::is_installed() {
        return eprintln!("skipped: prometheus and promtool are not installed (./dev test installs them)");
    }
    let mut world = World::new().await.expect("a world");
    world.cluster.deployment("checkout", 2).await.expect("a deployment");
    let port = practice::free_port().expect("a port");
    let more = format!(
        "[external_metrics]\nlisten = \"127.0.0.1:{port}\"\ncluster = \"measured\"\ncert_file = \"tls.crt\"\nkey_file = \"tls.key\"\n\
         client_ca_file = \"ca.crt\"\nallowed_names = [\"front-proxy-client\"]\n"
    );
    let _prometheus = known(&world, &more).await;
    let folder = world.config().parent().expect("a folder").to_path_buf();
    let said = checked(&world).await;
    assert!(said.contains("ca.crt") && said.contains("docs/METRICS.md"), "{said}");
    let (identity, authority) = certificates(&folder);
    let said = checked(&world).await;
    assert!(said.starts_with("ok ") && said.contains("its certificates can be used"), "{said}");
    world.start().await.expect("a replica");

    let client =
        reqwest::Client::builder().tls_certs_only([authority]).identity(identity).build().expect("a client");
    let path = format!(
        "apis/external.metrics.k8s.io/v1beta1/namespaces/{}/petrel_forecast",
        world.cluster.namespace
    );
    let url = format!(
        "https://localhost:{port}/{path}?labelSelector=workload%3Dcheckout%2Cmetric%3Dcpu%2Cahead%3D24h"
    );
    let answer = client.get(url).send().await.expect("an answer");
    let list: Value = answer.json().await.expect("JSON");
    let value = list["items"][0]["value"].as_str().unwrap_or_else(|| panic!("{list:#}"));
    let cores = value.trim_end_matches('m').parse::<f64>().expect("a number") / 1000.0;
    assert!((1.5..1.8).contains(&cores), "1.2 cores and a third are 1.6: {list:#}");
}
