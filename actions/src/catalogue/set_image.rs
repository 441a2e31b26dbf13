//! `set-image`: other images for one or more containers of a workload.

use super::*;
use draft::{Draft, while_it_moves};
use futures::future::try_join;
use ledger::{Condition, PatchKind, Risk};
use serde_json::{Map, json};
use workload::{Subject, accept};

const WHY_NOT: &str = "has no pod template whose images can be set";

/// See the module.
pub struct SetImage;

impl Action for SetImage {
    fn name(&self) -> &'static str {
        "set-image"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("set-image")
            .about("Set the image of one or more containers")
            .arg(target_arg("Deployment, StatefulSet or DaemonSet"))
            .arg(clap::Arg::new("images").value_name("CONTAINER=IMAGE").required(true).num_args(1..).help("Which container gets which image"))
            .after_help("Example: set-image deploy/checkout app=registry.example/checkout:1.42.1 -n shop -c prod-eu --why \"release 1.42.1\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        let named = parse_accepted(matches, &ROLLING, WHY_NOT)?;
        let mut images = Map::new();
        for pair in matches.get_many::<String>("images").into_iter().flatten() {
            let (container, image) = parse_pair(pair)?;
            if images.insert(container.clone(), image.into()).is_some() {
                return Err(format!("container '{container}' is named twice"));
            }
        }
        Ok((named, json!({"images": images})))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(while_it_moves(move || plan(context)))
    }
}

fn parse_pair(pair: &str) -> Result<(String, String), String> {
    let shown = || pair.chars().take(120).flat_map(char::escape_debug).collect::<String>();
    let (container, image) =
        pair.split_once('=').ok_or_else(|| format!("'{}' is not CONTAINER=IMAGE", shown()))?;
    if !cluster::is_dns_label(container) {
        return Err(format!("'{}' does not begin with a container's name", shown()));
    }
    if !is_image(image) {
        return Err(format!("'{}' does not end with an image: [registry/]name[:tag][@digest]", shown()));
    }
    Ok((container.to_string(), image.to_string()))
}

/// The characters and shape of an image reference (github.com/distribution/reference), not whether it exists.
fn is_image(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    image.len() <= 512
        && edge(name.as_bytes().first())
        && edge(name.as_bytes().last())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte))
        && !name.contains("//")
        && digest.is_none_or(|digest| {
            digest.split_once(':').is_some_and(|(algorithm, hash)| {
                edge(algorithm.as_bytes().first())
                    && hash.len() >= 32
                    && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        })
}

/// Neither digest nor a tag that says which build it is.
fn floats(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    !image.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

async fn plan(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &ROLLING, WHY_NOT).map_err(PlanError::Invalid)?;
    let images = context.parameters["images"]
        .as_object()
        .filter(|images| !images.is_empty())
        .ok_or_else(|| PlanError::Invalid("no image is given; write CONTAINER=IMAGE".into()))?;
    let subject = Subject::read(&context).await?;
    let mut lists = Map::new();
    let mut fields = Vec::new();
    let mut words = Vec::new();
    let mut notes = Vec::new();
    for (container, image) in images {
        let image = image.as_str().filter(|image| is_image(image)).ok_or_else(|| {
            PlanError::Invalid(format!(
                "container '{container}': not an image: [registry/]name[:tag][@digest]"
            ))
        })?;
        let (list, index, now) = find_container(&subject, container)?;
        fields.push(Condition::Field {
            object: subject.reference.clone(),
            pointer: format!("/spec/template/spec/{list}/{index}/image"),
            equals: image.into(),
        });
        if now["image"] == image {
            continue;
        }
        if floats(image) {
            notes.push(format!(
                "{image} can be another image tomorrow: it has no tag that stays, and no digest"
            ));
        }
        words.push(format!("{container} to {image}"));
        if let Value::Array(items) = lists.entry(list).or_insert_with(|| json!([])) {
            items.push(json!({"name": container, "image": image}));
        }
    }
    if words.is_empty() {
        return Err(PlanError::Nothing(format!("{} runs these images", subject.words())));
    }
    let change = json!({"spec": {"template": {"spec": lists}}});
    let (mut blast, after) =
        try_join(subject.blast(), subject.dry_run(PatchKind::Strategic, &change)).await?;
    subject.rollout_notes(&mut blast);
    blast.notes.extend(notes);
    let draft = Draft {
        action: "set-image",
        summary: format!(
            "set image of {} ({}): {}",
            subject.words(),
            restart::pods(blast.pods),
            words.join(", ")
        ),
        kind: PatchKind::Strategic,
        change,
        about_replicas: false,
        risk: Risk::High,
        conditions: subject.rollout_conditions(fields),
        within_s: subject.rollout_within_s(blast.of),
        blast,
    };
    draft.plan(context, subject, &after)
}

/// The list that holds a container, its place there, and the container.
pub(super) fn find_container<'a>(
    subject: &'a Subject,
    name: &str,
) -> Result<(&'static str, usize, &'a Value), PlanError> {
    let mut known = Vec::new();
    for list in ["containers", "initContainers"] {
        for (index, container) in
            subject.template()["spec"][list].as_array().into_iter().flatten().enumerate()
        {
            if container["name"] == name {
                return Ok((list, index, container));
            }
            known.extend(container["name"].as_str());
        }
    }
    Err(PlanError::Invalid(format!(
        "{} has no container '{name}'; it has {}",
        subject.words(),
        known.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_checked_by_their_shape() {
        let digest = format!("a/b@sha256:{}", "0a".repeat(32));
        for image in ["nginx", "nginx:1.27", "registry.example:5000/team/app:1.2.3-rc.1", digest.as_str()] {
            assert!(is_image(image), "{image}");
        }
        for image in ["", "a b", "a:", ":1", "a//b", "a@b", "a@sha256:xyz", "a;rm", "$(x)", "-a", "a\n"] {
            assert!(!is_image(image), "{image}");
        }
    }

    #[test]
    fn a_floating_tag_is_noticed() {
        assert!(floats("nginx") && floats("registry.example:5000/app") && floats("app:latest"));
        assert!(!floats("app:1.2") && !floats("app@sha256:00") && !floats("registry.example:5000/app:7"));
    }

    #[test]
    fn a_pair_names_what_is_wrong_with_it() {
        assert_eq!(parse_pair("app=nginx:1"), Ok(("app".into(), "nginx:1".into())));
        assert_eq!(parse_pair("nginx:1").unwrap_err(), "'nginx:1' is not CONTAINER=IMAGE");
        assert!(parse_pair("App=nginx").unwrap_err().contains("container"));
        assert!(parse_pair("app=ng inx").unwrap_err().contains("image"));
    }
}
