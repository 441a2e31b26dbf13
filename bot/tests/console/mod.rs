//! The console over its wire, against a real database. No cluster: requests are planned by hand.

mod world;

use axum::{
    body::Body,
    http::{Request as HttpRequest, StatusCode, header},
};
use bot::{
    card,
    card::Card,
    draw,
    healing::{Owners, fold, person},
};
use heal::event::{Context, alert};
use jiff::Timestamp;
use ledger::*;
use serde_json::{Value, json};
use std::time::Duration;

use world::*;

#[tokio::test]
async fn every_page_needs_a_session_and_comes_back_after_signing_in() {
    let world = world("console_sign_in").await;
    let stranger = world.stranger();
    for path in ["/", "/requests", "/requests/00000000", "/clusters", "/audit", "/help"] {
        let page = stranger.get(path).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}");
        assert!(page.location.starts_with("/sign-in"), "{path}: {}", page.location);
    }
    assert_eq!(stranger.get("/requests?state=open").await.location, "/sign-in?to=%2Frequests%3Fstate%3Dopen");
    for path in ["/events?room=ops", "/complete?room=ops&text=s"] {
        let response = stranger.send(HttpRequest::get(path), Body::empty()).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(
        stranger.post("/say", &[("text", "help")], "application/json").await.status,
        StatusCode::UNAUTHORIZED
    );
    let ann = world.sign_in("ann").await;
    for path in ["/", "/requests", "/audit", "/help"] {
        assert_eq!(ann.get(path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_wrong_token_is_refused_recorded_and_not_repeated_for_ever() {
    let world = world("console_wrong_token").await;
    let stranger = world.stranger();
    for _ in 0..10 {
        let page = stranger.post("/sign-in", &[("token", "secret-guess")], "text/html").await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(page.cookie.is_empty() && !page.text.contains("secret-guess"));
    }
    let page = stranger.post("/sign-in", &[("token", "secret-guess")], "text/html").await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    let filter = EntryFilter { kind: Some("sign_in.".into()), limit: 50, ..EntryFilter::default() };
    let entries = world.app.ledger.entries(&filter).await.unwrap();
    assert_eq!(entries.len(), 10);
    assert!(
        entries.iter().all(|entry| !entry.body.to_string().contains("secret-guess")),
        "a token is in the record"
    );
}

#[tokio::test]
async fn who_has_a_token_but_is_not_in_the_policy_sees_nothing() {
    let world = world("console_eve").await;
    let eve = world.sign_in("eve").await;
    let page = eve.get("/").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.text.contains("console:eve"), "{}", page.text);
}

#[tokio::test]
async fn who_has_a_token_and_brings_a_code_from_a_chat_is_somebody_from_then_on() {
    let world = world("console_link").await;
    let eve = world.sign_in("eve").await;
    let csrf = eve.csrf().await;
    let code = async |code: &str, csrf: &str| {
        eve.post("/people/link", &[("csrf", csrf), ("code", code)], "text/html").await
    };
    let offer = LinkOffer {
        person: Person("bob".into()),
        actor: "slack:T1:UBOB".parse().unwrap(),
        place: Some(Place("slack:T1:C1".into())),
        key: "k".into(),
    };
    let hash: CodeHash =
        sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix("K7QFM2XD9TRA")).into();
    let lasts = jiff::SignedDuration::from_mins(10);
    assert!(world.app.ledger.offer_link(&offer, &hash, lasts, Timestamp::now()).await.unwrap());
    assert_eq!(code("K7QF-M2XD-9TRA", "forged").await.status, StatusCode::FORBIDDEN);
    let wrong = code("K7QF-M2XD-9TRB", &csrf).await;
    assert!(wrong.status == StatusCode::FORBIDDEN && wrong.text.contains("does not count"), "{}", wrong.text);
    assert_eq!(code("k7qf-m2xd-9tra", &csrf).await.status, StatusCode::SEE_OTHER);
    assert_eq!(eve.get("/").await.status, StatusCode::OK);
    let who = world.app.gate.who(&"console:eve".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(who.person, Person("bob".into()));
    assert_eq!(code("K7QF-M2XD-9TRB", &csrf).await.status, StatusCode::SEE_OTHER, "bob needs no code");
}

#[tokio::test]
async fn the_session_cookie_is_strict_and_out_of_reach_of_scripts() {
    let world = world("console_cookie").await;
    let page = world.stranger().post("/sign-in", &[("token", "token-of-ann-0123456789")], "text/html").await;
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
        assert!(page.cookie.contains(part), "{}", page.cookie);
    }
    assert!(!page.cookie.contains("token-of-ann"));
}

#[tokio::test]
async fn every_answer_carries_the_content_security_policy() {
    let world = world("console_csp").await;
    let ann = world.sign_in("ann").await;
    for path in ["/", "/sign-in", "/requests", "/nowhere", "/static/nothing"] {
        let policy = ann.get(path).await.policy;
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
    }
}

#[tokio::test]
async fn a_picture_on_a_card_is_for_those_who_are_signed_in() {
    let world = world("console_picture").await;
    let ann = world.sign_in("ann").await;
    let kept = ledger::Picture {
        id: ledger::PictureId::new(),
        alt: "load <of> checkout".into(),
        svg: "<svg xmlns=\"http://www.w3.org/2000/svg\"/>".into(),
        png: b"PNG".to_vec(),
    };
    world.app.ledger.keep_picture(&kept, Timestamp::now()).await.unwrap();
    let picture = Some(card::Picture { id: kept.id, alt: kept.alt.clone() });
    let shown = Card { picture, ..Card::titled(card::Tone::Neutral, "Load") };
    world.app.ledger.say("k", &Place("console:ops".into()), None, &draw::json(&shown)).await.unwrap();
    let path = format!("/pictures/{}.svg", kept.id);
    let begun = std::time::Instant::now();
    loop {
        let room = ann.get("/").await.text;
        if room.contains(&format!("<img class=\"picture\" src=\"{path}\" alt=\"load &lt;of&gt; checkout\"")) {
            break;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{room}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(ann.get(&path).await.text, kept.svg);
    assert_eq!(ann.get(&path.replace("svg", "png")).await.text, "PNG");
    for wrong in [
        path.replace("svg", "exe"),
        format!("/pictures/{}.svg", ledger::PictureId::new()),
        "/pictures/x".into(),
    ] {
        assert_eq!(ann.get(&wrong).await.status, StatusCode::NOT_FOUND, "{wrong}");
    }
    assert_eq!(world.stranger().get(&path).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_form_from_elsewhere_changes_nothing() {
    let world = world("console_csrf").await;
    let (ann, bob) = (world.sign_in("ann").await, world.sign_in("bob").await);
    let request = world.request("stale cache").await;
    let (id, digest) = (request.id.to_string(), request.digest.to_string());
    let others = ann.csrf().await;
    for csrf in ["", "0000", &others] {
        let fields = [
            ("csrf", csrf),
            ("key", "k0123456789"),
            ("room", "ops"),
            ("from", "room"),
            ("request", &id),
            ("digest", &digest),
            ("button", "approve"),
        ];
        assert_eq!(
            bob.post("/click", &fields, "application/json").await.status,
            StatusCode::FORBIDDEN,
            "{csrf:?}"
        );
    }
    let forged = HttpRequest::post("/say")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "cross-site");
    let body = format!("csrf={}&key=k0123456789&room=ops&text=help", bob.csrf().await);
    assert_eq!(bob.send(forged, Body::from(body)).await.status(), StatusCode::FORBIDDEN);
    let view = world.app.ledger.view(request.id).await.unwrap().unwrap();
    assert_eq!((view.request.state, view.votes.len()), (RequestState::Awaiting, 0));
    assert!(world.app.ledger.claim_inbox("test", Duration::from_secs(1), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn hostile_text_is_shown_and_not_obeyed() {
    let world = world("console_hostile").await;
    let ann = world.sign_in("ann").await;
    let mut live = ann.events("room=ops").await;
    let request = world.request(HOSTILE).await;
    let drawn = live.until("the card", |html| html.contains("restart Deployment checkout")).await;
    let csrf = ann.csrf().await;
    let fields = [("csrf", csrf.as_str()), ("key", "k0123456789"), ("room", "ops"), ("text", HOSTILE)];
    let said = ann.post("/say", &fields, "application/json").await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
    let shown =
        ["/".to_string(), "/requests".to_string(), format!("/requests/{}", request.id), "/audit".to_string()];
    for path in shown {
        let page = ann.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(!page.text.contains("<img") && !page.text.contains("<script>"), "{path}");
        assert!(!page.text.contains('\u{202e}'), "{path}");
        assert!(page.text.contains("&lt;script&gt;alert(2)&lt;/script&gt;[U+202E]gpj.exe"), "{path}");
    }
    assert!(!drawn.contains("<img") && !drawn.contains('\u{202e}'), "{drawn}");
}

#[tokio::test]
async fn an_approval_redraws_the_card_in_every_open_room() {
    let world = world("console_live").await;
    let (ann, bob) = (world.sign_in("ann").await, world.sign_in("bob").await);
    let mut live = ann.events("room=ops").await;
    let request = world.request("stale cache").await;
    let id = format!("data-request=\"{}\"", request.id);
    let waiting = live.until("the card", |html| html.contains(&id)).await;
    assert!(waiting.contains("data-button=\"approve\""), "{waiting}");
    let page = bob.click(&request, "approve", "", "application/json").await;
    assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, "{\"notice\":null}"));
    let approved =
        live.until("the edit", |html| html.contains(&id) && !html.contains("data-button=\"approve\"")).await;
    let element = |html: &str| html.split(" id=\"").nth(1).unwrap().split('"').next().unwrap().to_string();
    assert_eq!(element(&waiting), element(&approved), "the card is edited in place");
    assert!(approved.contains("bob"), "{approved}");
}

#[tokio::test]
async fn a_page_that_was_away_gets_what_it_missed() {
    let world = world("console_resume").await;
    let ann = world.sign_in("ann").await;
    let before = Timestamp::now().as_microsecond();
    let request = world.request("stale cache").await;
    let id = format!("data-request=\"{}\"", request.id);
    ann.events("room=ops").await.until("the card", |html| html.contains(&id)).await;
    let mut late = ann.events(&format!("room=ops&since={before}")).await;
    late.until("the card that was missed", |html| html.contains(&id)).await;
}

#[tokio::test]
async fn a_requester_who_approves_is_refused_in_private() {
    let world = world("console_own").await;
    let (ann, bob) = (world.sign_in("ann").await, world.sign_in("bob").await);
    let mut live = ann.events("room=ops").await;
    let request = world.request("stale cache").await;
    let id = format!("data-request=\"{}\"", request.id);
    live.until("the card", |html| html.contains(&id)).await;
    let said = ann.click(&request, "approve", "", "application/json").await;
    let said: Value = serde_json::from_str(&said.text).unwrap();
    let notice = said["notice"].as_str().unwrap();
    assert!(notice.contains("data-notice") && notice.contains("You asked for this yourself"), "{notice}");
    // Without JavaScript the page itself says it, at the card.
    let page = ann.click(&request, "approve", "", "text/html").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("You asked for this yourself"), "{}", page.text);
    assert!(!bob.get("/").await.text.contains("You asked for this yourself"), "others see it");
    assert_eq!(
        world.app.ledger.view(request.id).await.unwrap().unwrap().request.state,
        RequestState::Awaiting
    );
}

#[tokio::test]
async fn a_denial_says_why() {
    let world = world("console_deny").await;
    let bob = world.sign_in("bob").await;
    let request = world.request("stale cache").await;
    let page = bob.click(&request, "deny", "not during the sale", "text/html").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    assert_eq!(page.location, format!("/?room=ops#r-{}", request.id));
    let page = bob.get(&format!("/requests/{}", request.id)).await.text;
    assert!(page.contains("not during the sale") && page.contains("denied"), "{page}");
}

#[tokio::test]
async fn the_same_click_twice_is_one_click() {
    let world = world("console_twice").await;
    let bob = world.sign_in("bob").await;
    let request = world.request("stale cache").await;
    let (csrf, id, digest) = (bob.csrf().await, request.id.to_string(), request.digest.to_string());
    let fields = [
        ("csrf", csrf.as_str()),
        ("key", "k0123456789"),
        ("room", "ops"),
        ("from", "room"),
        ("request", &id),
        ("digest", &digest),
        ("button", "approve"),
    ];
    for _ in 0..2 {
        assert_eq!(bob.post("/click", &fields, "application/json").await.text, "{\"notice\":null}");
    }
    assert_eq!(world.app.ledger.view(request.id).await.unwrap().unwrap().votes.len(), 1);
}

#[tokio::test]
async fn a_typed_line_is_in_the_room_and_its_answer_follows() {
    let world = world("console_line").await;
    let (ann, bob) = (world.sign_in("ann").await, world.sign_in("bob").await);
    let mut live = bob.events("room=ops").await;
    let csrf = ann.csrf().await;
    let fields = [("csrf", csrf.as_str()), ("key", "k0123456789"), ("room", "ops"), ("text", "whoami")];
    let said = ann.post("/say", &fields, "application/json").await;
    let said: Value = serde_json::from_str(&said.text).unwrap();
    assert!(said["line"].as_str().unwrap().contains("data-mine"), "{said}");
    let line = live.until("the line", |html| html.contains("whoami")).await;
    assert!(!line.contains("data-mine"), "it is not bob's line");
    let completed = ann.get("/complete?room=ops&text=who").await.text;
    assert!(completed.contains("\"line\":\"whoami \""), "{completed}");
}

#[tokio::test]
async fn a_cluster_that_never_answers_does_not_keep_the_page() {
    let world = world("console_silent").await;
    let ann = world.sign_in("ann").await;
    let page = tokio::time::timeout(Duration::from_secs(8), ann.get("/clusters"))
        .await
        .expect("the page waits for a dead cluster");
    assert!(
        page.text.contains("data-cluster=\"prod-eu\"") && page.text.contains("no answer"),
        "{}",
        page.text
    );
}

/// An alert fires, or is over.
async fn alert(world: &World, began: Timestamp, over: bool) {
    let now = Timestamp::now();
    let body = json!({"version": "4", "alerts": [{
        "status": if over { "resolved" } else { "firing" },
        "labels": {"alertname": "Sick", "namespace": "shop", "deployment": "cart", "cluster": "elsewhere"},
        "annotations": {"summary": HOSTILE}, "startsAt": began.to_string(),
        "endsAt": if over { now } else { began }.to_string(),
    }]});
    let batch = alert::read(body.to_string().as_bytes(), Context { cluster: None, received: now }).unwrap();
    let body = serde_json::to_value(&batch.events[0]).unwrap();
    let event = NewEvent { key: RequestId::new().to_string(), body };
    world.app.ledger.receive_events("test", &[event], now).await.unwrap();
    fold::fold(&world.app, &Owners::default(), now).await.unwrap();
}

#[tokio::test]
async fn the_page_of_an_incident_follows_what_happens_to_it() {
    let world = world("console_incident_live").await;
    let ann = world.sign_in("ann").await;
    let began = Timestamp::now();
    alert(&world, began, false).await;
    let id = world.app.ledger.incidents(true, 10).await.unwrap()[0].id;
    let page = ann.get(&format!("/incidents/{id}")).await.text;
    assert!(page.contains(&format!("data-events=\"/events?incident={id}\"")), "{page}");
    let mut live = ann.events(&format!("incident={id}")).await;
    let first = live.until("itself", |html| html.contains("Sick")).await;
    assert!(
        first.starts_with("<div id=\"live\" data-live>") && page.contains("<div id=\"live\" data-live>"),
        "{first}"
    );
    assert!(!first.contains(HOSTILE));
    let bob: Actor = "console:bob".parse().unwrap();
    person::act(&world.app, &bob, id, &person::Deed::Take, Timestamp::now()).await.unwrap();
    live.until("who has it", |html| html.contains("bob took it over")).await;
    alert(&world, began, true).await;
    live.until("its end", |html| html.contains("Nothing any more")).await;
    let both = HttpRequest::get(format!("/events?room=ops&incident={id}"));
    assert_eq!(ann.send(both, Body::empty()).await.status(), StatusCode::BAD_REQUEST);
}
