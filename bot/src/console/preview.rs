//! Sample pages: checked for what every page must hold, and written beside the test program for looking at.

use super::{
    assets, clusters,
    draw::{
        card::Clicks,
        layout::{Here, page},
        message::Reader,
        request,
        room::Room,
    },
    preview_incident,
    session::Viewer,
    sign_in,
};
use crate::card::{Button, Card, ClusterBadge, Code, StepLine, Table, Tone};
use actions::cluster::Health;
use jiff::Timestamp;
use ledger::*;
use maud::{Markup, html};
use serde_json::json;
use std::collections::BTreeMap;

const HOSTILE: &str = "\"><img src=x onerror=alert(1)> <script>alert(2)</script> \u{202e}gpj.exe";

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_795_248_000 + minute * 60).unwrap()
}

fn viewer() -> Viewer {
    Viewer {
        actor: "console:bob".parse().unwrap(),
        name: "bob".into(),
        groups: vec!["sre".into(), "leads".into()],
        csrf: "c5rf".into(),
        expires: at(600),
    }
}

fn clicks(from: &'static str) -> Clicks {
    Clicks { csrf: "c5rf".into(), room: "ops".into(), from }
}

fn plain(tone: Tone, title: &str) -> Card {
    Card::titled(tone, title)
}

fn button(id: &str, label: &str, style: &str) -> Button {
    Button {
        id: id.into(),
        label: label.into(),
        style: style.into(),
        wants_reason: id == "deny",
        wants_typed: None,
    }
}

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(label, value)| (label.to_string(), value.to_string())).collect()
}

fn steps(lines: &[(&str, &str)]) -> Vec<StepLine> {
    lines.iter().map(|(state, text)| StepLine { state: state.to_string(), text: text.to_string() }).collect()
}

const DIFF: &str = "--- Deployment shop/checkout\n+++ after\n@@ -4,7 +4,7 @@\n   name: checkout\n spec:\n-  replicas: 3\n+  replicas: 6\n   selector:\n     matchLabels:\n       app: checkout\n";

fn awaiting() -> Card {
    let id = RequestId::new();
    let mut approve = button("approve", "Approve", "primary");
    approve.wants_typed = Some("prod-eu".into());
    Card {
        status: Some("awaiting 1 of 2".into()),
        cluster: Some(ClusterBadge { name: "prod-eu".into(), production: true }),
        text: Some("ann asks: the sale starts at ten".into()),
        fields: fields(&[
            ("Target", "shop/Deployment checkout"),
            ("Blast radius", "3 new pods; nothing is restarted"),
            ("Risk", "low"),
            ("Needs", "2 of sre or leads, within 30 min, typing the cluster's name"),
            ("Votes", "carol approved"),
        ]),
        code: Some(Code { language: "diff".into(), text: DIFF.into() }),
        buttons: vec![
            approve,
            button("deny", "Deny", "danger"),
            button("cancel", "Cancel", "plain"),
            button("details", "Details", "plain"),
        ],
        footer: Some(format!("{} · policy 4f1c09aa2b17 · expires 09:12 UTC", id.short())),
        link: Some(format!("/requests/{id}")),
        request: Some(id),
        digest: Some("ab".repeat(32)),
        ..plain(Tone::Waiting, "scale Deployment checkout from 3 to 6 replicas")
    }
}

fn running() -> Card {
    let id = RequestId::new();
    Card {
        status: Some("running".into()),
        cluster: Some(ClusterBadge { name: "staging".into(), production: false }),
        fields: fields(&[("Target", "shop/Deployment cart"), ("By", "ann"), ("Why", "memory leak")]),
        steps: steps(&[
            ("done", "patch Deployment cart"),
            ("working", "rollout: 4 of 6 pods ready"),
            ("waiting", "no container is crash-looping"),
        ]),
        buttons: vec![button("cancel", "Cancel", "plain"), button("details", "Details", "plain")],
        footer: Some(id.short()),
        link: Some(format!("/requests/{id}")),
        request: Some(id),
        digest: Some("cd".repeat(32)),
        ..plain(Tone::Working, "restart Deployment cart")
    }
}

fn message(id: i64, author: Option<&str>, text: Option<&str>, card: Option<&Card>) -> RoomMessage {
    RoomMessage {
        id,
        place: Place("console:ops".into()),
        author: author.map(|author| author.parse().unwrap()),
        only_for: None,
        text: text.map(str::to_string),
        card: card.map(|card| serde_json::to_value(card).unwrap()),
        request: card.and_then(|card| card.request),
        at: at(id),
        edited_at: None,
    }
}

fn room_page() -> Markup {
    let viewer = viewer();
    let pods = Card {
        cluster: Some(ClusterBadge { name: "staging".into(), production: false }),
        table: Some(Table {
            header: ["Name", "Ready", "Status", "Restarts", "Age"].map(String::from).to_vec(),
            rows: ["checkout-6f7c9d5b8-2xk4p", "checkout-6f7c9d5b8-9qwzn", "checkout-6f7c9d5b8-tr5vd"]
                .map(|name| [name, "1/1", "Running", "0", "3d"].map(String::from).to_vec())
                .to_vec(),
            links: Vec::new(),
        }),
        ..plain(Tone::Neutral, "Pods in staging/shop")
    };
    let logs = Card {
        cluster: Some(ClusterBadge { name: "prod-eu".into(), production: true }),
        code: Some(Code {
            language: "text".into(),
            text: "2026-11-21T08:38:00Z INFO listening\n".repeat(60),
        }),
        ..plain(Tone::Neutral, "Logs of pod checkout-6f7c9d5b8-2xk4p")
    };
    let unknown = Card {
        status: Some("unknown".into()),
        cluster: Some(ClusterBadge { name: "prod-us".into(), production: true }),
        text: Some("The cluster did not answer after the patch was sent. Nobody knows whether it took place; look at it before you ask again.".into()),
        steps: steps(&[("unknown", "patch StatefulSet ledger")]),
        ..plain(Tone::Urgent, "set image of StatefulSet ledger to ledger:2.4.1")
    };
    let done = Card {
        status: Some("succeeded".into()),
        cluster: Some(ClusterBadge { name: "staging".into(), production: false }),
        steps: steps(&[("done", "patch Deployment web"), ("done", "rollout complete in 14 s")]),
        footer: Some("9be2c1f0 · by ann".into()),
        ..plain(Tone::Good, "restart Deployment web")
    };
    let bad = Card {
        text: Some("There is no command 'scael'. Did you mean 'scale'?".into()),
        code: Some(Code { language: "text".into(), text: "scael deploy/checkout 6\n^^^^^".into() }),
        ..plain(Tone::Bad, "I do not understand 'scael'")
    };
    let hostile = Card {
        status: Some(HOSTILE.into()),
        cluster: Some(ClusterBadge { name: HOSTILE.into(), production: false }),
        text: Some(HOSTILE.into()),
        fields: vec![(HOSTILE.into(), HOSTILE.into())],
        code: Some(Code { language: "diff".into(), text: format!("+{HOSTILE}") }),
        steps: vec![StepLine { state: HOSTILE.into(), text: HOSTILE.into() }],
        buttons: vec![button("approve", HOSTILE, HOSTILE), button(HOSTILE, HOSTILE, HOSTILE)],
        footer: Some(HOSTILE.into()),
        link: Some("javascript:alert(1)".into()),
        request: Some(RequestId::new()),
        digest: Some("ef".repeat(32)),
        ..plain(Tone::Bad, HOSTILE)
    };
    let waiting = awaiting();
    let refusal = Card {
        text: Some(
            "You asked for this yourself; someone else must approve it. Ask someone in sre or leads.".into(),
        ),
        ..plain(Tone::Bad, "Not you")
    };
    let told = (waiting.request.unwrap(), refusal);
    let messages = [
        message(1, Some("console:ann"), Some("get pods -n shop -c staging"), None),
        message(2, None, None, Some(&pods)),
        message(
            3,
            Some("console:bob"),
            Some("restart deploy/web -n shop -c staging --why \"stale cache\""),
            None,
        ),
        message(4, None, None, Some(&done)),
        message(5, Some("console:bob"), Some("scael deploy/checkout 6"), None),
        message(6, None, None, Some(&bad)),
        message(7, Some("console:carol"), Some("logs pod/checkout-6f7c9d5b8-2xk4p -n shop -c prod-eu"), None),
        message(8, None, None, Some(&logs)),
        message(9, None, None, Some(&unknown)),
        message(10, Some("console:mallory"), Some(HOSTILE), None),
        message(11, None, None, Some(&hostile)),
        message(12, None, None, Some(&running())),
        message(
            13,
            Some("console:ann"),
            Some("scale deploy/checkout 6 -n shop -c prod-eu --why \"the sale starts at ten\""),
            None,
        ),
        message(14, None, None, Some(&waiting)),
    ];
    Room {
        viewer: &viewer,
        room: "ops",
        rooms: vec!["ops", "shop"],
        cluster: None,
        clusters: &["prod-eu".into()],
        reader: Reader { actor: &viewer.actor, clicks: clicks("room"), notice: Some(&told) },
        messages: &messages,
        older: Some(1),
        is_newest: true,
        whisper: None,
        since: at(20),
    }
    .draw()
}

fn empty_room() -> Markup {
    let viewer = viewer();
    Room {
        viewer: &viewer,
        room: "ops",
        rooms: vec!["ops"],
        cluster: Some("practice-eu"),
        clusters: &["practice-eu".into()],
        reader: Reader { actor: &viewer.actor, clicks: clicks("room"), notice: None },
        messages: &[],
        older: None,
        is_newest: true,
        whisper: None,
        since: at(20),
    }
    .draw()
}

fn view() -> RequestView {
    let object = ObjectRef {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: Some("shop".into()),
        name: "checkout".into(),
        uid: Some("u1".into()),
    };
    let patch = |n: u32| Step::Patch {
        object: object.clone(),
        kind: PatchKind::Merge,
        body: json!({ "spec": { "replicas": n } }),
    };
    let target = Target {
        cluster: "prod-eu".into(),
        namespace: Some("shop".into()),
        kind: "Deployment".into(),
        name: "checkout".into(),
        uid: Some("u1".into()),
    };
    let plan = Plan {
        action: "scale".into(),
        parameters: json!({ "replicas": 6 }),
        target: target.clone(),
        resource_version: "1042".into(),
        summary: "scale Deployment checkout from 3 to 6 replicas".into(),
        steps: vec![patch(6)],
        diff: DIFF.into(),
        blast: Blast {
            pods: 3,
            of: 3,
            budgets: vec!["checkout-pdb (1 more)".into()],
            notes: vec!["an HPA (checkout, 2-10) will overrule this".into()],
            ..Blast::default()
        },
        risk: Risk::Low,
        prior: json!({ "replicas": 3 }),
        undo: vec![patch(3)],
        verify: Verify {
            conditions: vec![
                Condition::RolloutComplete { object: object.clone() },
                Condition::Replicas { object, count: 6 },
            ],
            within_s: 300,
        },
    };
    let ann: Actor = "console:ann".parse().unwrap();
    let ask = Ask {
        key: "k".into(),
        actor: ann,
        person: Person("ann".into()),
        place: Some(Place("console:ops".into())),
        line: "scale deploy/checkout 6 -n shop -c prod-eu --why \"the sale starts at ten\"".into(),
        action: "scale".into(),
        parameters: json!({ "replicas": 6 }),
        target,
        why: Some("the sale starts at ten".into()),
        break_glass: false,
        dry_run: false,
        with_person: None,
    };
    let quorum =
        Quorum { votes: 2, groups: vec!["sre".into(), "leads".into()], within_s: 1800, type_cluster: true };
    let vote = |who: &str, minute| Vote {
        person: Person(who.into()),
        actor: format!("console:{who}").parse().unwrap(),
        groups: vec!["sre".into()],
        verdict: Verdict::Approve,
        digest: Digest([7; 32]),
        reason: None,
        typed: Some("prod-eu".into()),
        at: at(minute),
    };
    RequestView {
        request: Request {
            id: RequestId::new(),
            ask,
            revision: 1,
            plan,
            digest: Digest([7; 32]),
            decision: Decision::Needs { rule: "prod needs two".into(), quorum },
            policy: "4f1c09aa2b17".into(),
            state: RequestState::Succeeded,
            note: Some("verified in 12 s".into()),
            expires_at: None,
            cancel: None,
            created_at: at(0),
            updated_at: at(9),
        },
        votes: vec![vote("bob", 3), vote("carol", 5)],
        run: None,
        steps: vec![],
    }
}

fn entries() -> Vec<Entry> {
    let id = RequestId::new();
    let kinds = [
        "request.succeeded",
        "step.done",
        "step.intended",
        "vote.approved",
        "vote.approved",
        "request.submitted",
    ];
    let entry = |(n, kind): (usize, &str)| Entry {
        id: 40 - n as i64,
        seq: (n > 0).then_some(40 - n as i64),
        at: at(9 - n as i64),
        kind: kind.into(),
        actor: "console:ann".into(),
        request: Some(id),
        body: json!({ "state": "x", "note": HOSTILE }),
    };
    kinds.into_iter().enumerate().map(entry).collect()
}

fn request_page() -> Markup {
    let viewer = viewer();
    let view = view();
    let card = Card {
        status: Some("succeeded".into()),
        cluster: Some(ClusterBadge { name: "prod-eu".into(), production: true }),
        fields: fields(&[("Asked by", "ann, 08:00 UTC"), ("Approved by", "bob, carol"), ("Took", "12 s")]),
        steps: steps(&[("done", "patch Deployment checkout"), ("done", "6 of 6 pods ready")]),
        request: Some(view.request.id),
        ..plain(Tone::Good, "scale Deployment checkout from 3 to 6 replicas")
    };
    let main = request::request(&view, &card, &entries(), &[], &clicks("request"), None);
    page(
        "Request",
        Here::Requests,
        &viewer,
        html! { h1 { "Request " code { (view.request.id.short()) } } (main) },
    )
}

fn list_page() -> Markup {
    let states = [
        RequestState::Awaiting,
        RequestState::Running,
        RequestState::Succeeded,
        RequestState::Denied,
        RequestState::Unknown,
    ];
    page(
        "Requests",
        Here::Requests,
        &viewer(),
        html! {
            h1 { "Requests" }
            ol.requests {
                @for (n, state) in states.into_iter().enumerate() {
                    @let one = view().request;
                    (request::row(&Request { state, id: RequestId::new(), ..one }, n % 2 == 0))
                }
            }
        },
    )
}

fn clusters_page() -> Markup {
    let labels = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<BTreeMap<_, _>>()
    };
    let health = [
        Health {
            name: "prod-eu".into(),
            version: Some("v1.36.1".into()),
            latency_ms: Some(12),
            nodes: Some((6, 6)),
            trouble: None,
            labels: labels(&[("production", "true"), ("region", "eu")]),
        },
        Health {
            name: "staging".into(),
            version: Some("v1.36.1".into()),
            latency_ms: Some(9),
            nodes: Some((2, 3)),
            trouble: Some("node staging-3 is not ready".into()),
            labels: labels(&[("region", "eu")]),
        },
        Health {
            name: "prod-us".into(),
            version: None,
            latency_ms: None,
            nodes: None,
            trouble: Some("cluster prod-us did not answer: connection refused".into()),
            labels: labels(&[("production", "true"), ("region", "us")]),
        },
    ];
    clusters::draw(&viewer(), &health)
}

fn pages() -> Vec<(&'static str, String)> {
    [
        ("room", room_page()),
        ("empty", empty_room()),
        ("request", request_page()),
        ("requests", list_page()),
        ("incidents", preview_incident::list(&viewer(), HOSTILE)),
        ("incident", preview_incident::one(&viewer(), &clicks("incident"), view())),
        ("clusters", clusters_page()),
        ("sign-in", sign_in::draw("/", None)),
    ]
    .map(|(name, page)| (name, page.into_string()))
    .into()
}

/// For looking: `<target>/debug/console-preview/room.html`.
#[test]
fn the_sample_pages_can_be_looked_at() {
    let program = std::env::current_exe().unwrap();
    let dir = program.ancestors().nth(2).unwrap().join("console-preview");
    std::fs::create_dir_all(&dir).unwrap();
    for (file, text) in
        [("console.css", include_str!("console.css")), ("petrel.svg", include_str!("petrel.svg"))]
    {
        std::fs::write(dir.join(file), text).unwrap();
    }
    for (name, page) in pages() {
        let page = page
            .replace(assets::path("console.css"), "console.css")
            .replace(assets::path("petrel.svg"), "petrel.svg");
        std::fs::write(dir.join(format!("{name}.html")), page).unwrap();
    }
    assert!(dir.join("room.html").exists());
}

/// The content security policy would not let it work, and it would be how hostile text gets in.
#[test]
fn no_page_has_inline_script_style_or_handlers() {
    for (name, page) in pages() {
        for tag in page.split('<').skip(1).filter_map(|tag| tag.split_once('>').map(|(tag, _)| tag)) {
            assert!(!tag.contains(" style="), "{name}: <{tag}>");
            assert!(!tag.starts_with("style"), "{name}: <{tag}>");
            assert!(!tag.starts_with("script") || tag.contains(" src=\"/static/"), "{name}: <{tag}>");
            assert!(!tag.contains("javascript:"), "{name}: <{tag}>");
            let outside_quotes: String = tag.split('"').step_by(2).collect();
            assert!(!outside_quotes.split_whitespace().any(|word| word.starts_with("on")), "{name}: <{tag}>");
        }
    }
}

#[test]
fn hostile_text_is_shown_and_not_obeyed() {
    for (name, page) in pages() {
        assert!(!page.contains("<img"), "{name}");
        assert!(!page.contains("<script>"), "{name}");
        assert!(!page.contains('\u{202e}'), "{name}");
    }
    let room = room_page().into_string();
    assert!(room.contains(
        "&quot;&gt;&lt;img src=x onerror=alert(1)&gt; &lt;script&gt;alert(2)&lt;/script&gt; [U+202E]gpj.exe"
    ));
}

#[test]
fn every_page_has_one_heading_and_a_label_for_every_field() {
    for (name, page) in pages() {
        assert_eq!(page.matches("<h1").count(), 1, "{name}");
        let fields = page.split("<input").skip(1).filter(|field| !field.starts_with(" type=\"hidden\""));
        let fields = fields.count() + page.matches("<select").count();
        assert_eq!(page.matches("<label").count(), fields, "{name}");
    }
}

#[test]
fn a_button_that_wants_something_typed_asks_for_it_before_it_sends() {
    let card = super::draw::card::card(&awaiting(), &clicks("room"), None).into_string();
    assert!(card.contains("data-keep=\"approve\"") && card.contains("name=\"typed\" required"), "{card}");
    assert!(card.contains("data-keep=\"deny\"") && card.contains("name=\"reason\" required"), "{card}");
    assert!(card.contains("name=\"button\" value=\"cancel\""), "{card}");
    assert_eq!(
        card.matches(&"ab".repeat(32)).count(),
        3,
        "every click carries the digest of the plan it was shown on"
    );
}
