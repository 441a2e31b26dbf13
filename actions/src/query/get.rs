//! `get`: objects in a table, as kubectl shows them.

use super::{Answer, Query, QueryError, column, events, needed, place, selector};
use crate::cluster::{self, Cluster, ClusterError, is_dns_label, is_dns_subdomain};
use futures::future::BoxFuture;
use jiff::Timestamp;
use ledger::ObjectRef;
use serde_json::Value;

/// Rows that a chat message can hold.
const ROWS: usize = 100;
/// Objects that are read to say how many more there are.
const READ: u32 = 2_000;

/// See the module.
pub struct Get;

/// A kind as served.
pub struct What {
    pub api_version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
}

impl Query for Get {
    fn name(&self) -> &'static str {
        "get"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("get")
            .about("List objects of a kind, or show one")
            .arg(clap::Arg::new("what").value_name("KIND[/NAME]").required(true).help(
                "pods, deploy, sts, ds, jobs, cj, nodes, svc, hpa, pdb, events, ..., or one: deploy/checkout",
            ))
            .arg(clap::Arg::new("name").value_name("NAME").help("One object of the kind"))
            .arg(
                clap::Arg::new("selector")
                    .short('l')
                    .long("selector")
                    .value_name("LABELS")
                    .conflicts_with("name")
                    .help("Only with these labels: app=checkout,tier!=web"),
            )
            .after_help("Example: get pods -l app=checkout -n shop -c prod-eu")
    }

    fn answer<'a>(
        &'a self,
        cluster: &'a Cluster,
        namespace: Option<&'a str>,
        matches: &'a clap::ArgMatches,
    ) -> BoxFuture<'a, Result<Answer, QueryError>> {
        Box::pin(answer(cluster, namespace, matches))
    }
}

async fn answer(
    cluster: &Cluster,
    namespace: Option<&str>,
    matches: &clap::ArgMatches,
) -> Result<Answer, QueryError> {
    let typed = matches.get_one::<String>("what").map(String::as_str).unwrap_or_default();
    let (word, name) = match typed.split_once('/') {
        Some((word, name)) => (word, Some(name)),
        None => (typed, matches.get_one::<String>("name").map(String::as_str)),
    };
    let selector = matches
        .get_one::<String>("selector")
        .map(|text| selector::parse(text).map(|selector| selector.to_string()))
        .transpose()
        .map_err(QueryError::Invalid)?;
    let what = what(cluster, word).await?;
    if what.kind == "Event" {
        if name.is_some() || selector.is_some() {
            return Err(QueryError::Invalid(
                "events are picked by what they are about: events deploy/checkout".into(),
            ));
        }
        return events::recent(cluster, namespace, None).await;
    }
    let namespace = namespace.filter(|_| what.namespaced);
    let now = Timestamp::now();
    let objects = match name {
        Some(name) => {
            if !is_dns_subdomain(name) {
                return Err(QueryError::Invalid(format!("'{}' is not a valid name", name.escape_debug())));
            }
            let namespace = if what.namespaced { Some(needed(namespace, typed)?.to_string()) } else { None };
            vec![
                cluster
                    .get(&ObjectRef {
                        api_version: what.api_version.clone(),
                        kind: what.kind.clone(),
                        namespace,
                        name: name.into(),
                        uid: None,
                    })
                    .await?,
            ]
        }
        None => {
            cluster.list(&what.api_version, &what.kind, namespace, selector.as_deref(), None, READ).await?
        }
    };
    let wide = what.namespaced && namespace.is_none();
    let mut header: Vec<String> = if wide { vec!["NAMESPACE".into()] } else { Vec::new() };
    header.push("NAME".into());
    header.extend(column::columns(&what.kind).iter().map(|column| column.to_string()));
    let rows = objects.iter().take(ROWS).map(|object| row(&what.kind, object, wide, now)).collect();
    let place = place(cluster, namespace);
    Ok(Answer {
        title: match name {
            Some(name) => format!("{} {name} in {place}", what.kind),
            None => format!("{} in {place}", what.plural),
        },
        text: match objects.len() {
            0 => Some(format!("no {} here", what.plural)),
            count if count > ROWS => Some(format!(
                "{ROWS} of {count}{} shown; narrow it with -l",
                if count >= READ as usize { " or more" } else { "" }
            )),
            _ => None,
        },
        table: (!objects.is_empty()).then_some((header, rows)),
        ..Answer::default()
    })
}

fn row(kind: &str, object: &Value, wide: bool, now: Timestamp) -> Vec<String> {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_string();
    let mut row = if wide { vec![text("namespace")] } else { Vec::new() };
    row.push(text("name"));
    row.extend(column::cells(kind, object, now));
    row
}

/// The kind that a word means: a built-in one, else a custom resource by its plural, singular, short or kind name.
pub async fn what(cluster: &Cluster, word: &str) -> Result<What, QueryError> {
    if let Some(kind) = cluster::by_word(word) {
        return Ok(What {
            api_version: kind.api_version.into(),
            kind: kind.kind.into(),
            plural: kind.plural.into(),
            namespaced: kind.namespaced,
        });
    }
    let unknown = || {
        let hint = cluster::nearest(word).map_or(String::new(), |known| format!("; did you mean '{known}'?"));
        QueryError::Invalid(format!(
            "'{}' is not a kind that {} has{hint}",
            word.chars().take(80).flat_map(char::escape_debug).collect::<String>(),
            cluster.name()
        ))
    };
    let (plain, group) = word.split_once('.').map_or((word, None), |(plain, group)| (plain, Some(group)));
    if !is_dns_label(&plain.to_ascii_lowercase()) {
        return Err(unknown());
    }
    let definitions = match cluster
        .list("apiextensions.k8s.io/v1", "CustomResourceDefinition", None, None, None, READ)
        .await
    {
        Err(ClusterError::Forbidden { .. } | ClusterError::NotFound { .. }) => return Err(unknown()),
        definitions => definitions?,
    };
    definitions.iter().find_map(|definition| custom(definition, plain, group)).ok_or_else(unknown)
}

fn custom(definition: &Value, word: &str, group: Option<&str>) -> Option<What> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let is = |name: &Value| name.as_str().is_some_and(|name| name.eq_ignore_ascii_case(word));
    let known = is(&names["plural"])
        || is(&names["singular"])
        || is(&names["kind"])
        || names["shortNames"].as_array().into_iter().flatten().any(is);
    if !known || group.is_some_and(|group| spec["group"] != group) {
        return None;
    }
    let version = spec["versions"]
        .as_array()?
        .iter()
        .filter(|version| version["served"] == true)
        .max_by_key(|version| version["storage"] == true)?;
    Some(What {
        api_version: format!("{}/{}", spec["group"].as_str()?, version["name"].as_str()?),
        kind: names["kind"].as_str()?.into(),
        plural: names["plural"].as_str()?.into(),
        namespaced: spec["scope"] == "Namespaced",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_custom_resource_is_found_by_any_of_its_names() {
        let definition = json!({"spec": {"group": "cert.example", "scope": "Namespaced", "names": {"plural": "certificates", "singular": "certificate", "kind": "Certificate", "shortNames": ["cert"]},
            "versions": [{"name": "v1", "served": true, "storage": true}, {"name": "v1beta1", "served": true}]}});
        for word in ["certificates", "certificate", "Certificate", "cert"] {
            let found = custom(&definition, word, None).unwrap();
            assert_eq!(
                (found.api_version.as_str(), found.kind.as_str(), found.namespaced),
                ("cert.example/v1", "Certificate", true)
            );
        }
        assert!(custom(&definition, "cert", Some("other.example")).is_none());
        assert!(custom(&definition, "certs", None).is_none());
    }
}
