//! What Slack sends: signatures, bodies, payloads, and what people type there.

use crate::mutant::fuzz;
use bot::slack::{http, payload, payload::Taken, signature};
use ledger::Event;

const EVENTS: &[&str] = &[
    r#"{"type":"url_verification","challenge":"3eZbrw1aB","token":"x"}"#,
    r#"{"type":"event_callback","team_id":"T1","api_app_id":"A1","event_id":"Ev1","event_time":1,"authorizations":[{"team_id":"T1","user_id":"U0","is_bot":true}],
"event":{"type":"app_mention","user":"U1","text":"<@U0> restart deploy/x &lt;now&gt; <http://a.b|a.b>","ts":"1.1","channel":"C1","event_ts":"1.1","team":"T1"}}"#,
    r#"{"type":"event_callback","team_id":"T1","context_team_id":"T2","event_id":"Ev2","event":{"type":"message","channel_type":"im","user":"W1","user_team":"E1",
"text":"clusters","ts":"1.1","channel":"D1","subtype":null}}"#,
    r#"{"type":"event_callback","team_id":"T1","event_id":"Ev3","event":{"type":"message","subtype":"message_changed","channel":"D1","message":{}}}"#,
];

const INTERACTIONS: &[&str] = &[
    r#"{"type":"block_actions","team":{"id":"T1"},"user":{"id":"U1","team_id":"T1"},"trigger_id":"1.2.a","container":{"type":"message","channel_id":"C1","message_ts":"1.1"},
"channel":{"id":"C1"},"message":{"text":"[awaiting]"},"response_url":"https://hooks.slack.com/x","actions":[{"type":"button","action_id":"petrel.approve","value":"approve.AAGZ"}]}"#,
    r#"{"type":"view_submission","team":null,"user":{"id":"U1","team_id":"T1"},"trigger_id":"1.2.a","view":{"id":"V1","hash":"h","callback_id":"petrel_press",
"private_metadata":"{\"press\":\"deny.AA\",\"place\":\"slack:T1:C1\"}","state":{"values":{"petrel_input":{"petrel_typed":{"type":"plain_text_input","value":"no"}}}}}}"#,
    r#"{"type":"view_closed","user":{"id":"U1"},"view":{}}"#,
];

const FORMS: &[&str] = &[
    "command=%2Fpetrel&text=restart+deploy%2Fx&team_id=T1&channel_id=C1&user_id=U1&trigger_id=1.2.a&response_url=https%3A%2F%2Fhooks.slack.com%2Fx",
    "payload=%7B%22type%22%3A%22block_actions%22%7D",
    "ssl_check=1&token=x",
];

/// Whatever is taken in is somebody, somewhere, once.
fn assert_whole(taken: Result<Taken, payload::Unreadable>) {
    let Ok(Taken::Arrival(arrival)) = taken else { return };
    let ids = |text: &str| text.split(':').all(|part| !part.is_empty()) && text.split(':').count() == 3;
    assert!(arrival.actor.kind() == "slack" && ids(arrival.actor.as_str()), "{arrival:?}");
    assert!(arrival.place.platform() == "slack" && ids(&arrival.place.0), "{arrival:?}");
    assert!(arrival.key.starts_with("slack:") && arrival.key.len() <= 300);
    if let Event::Line { text } = &arrival.event {
        assert!(!text.contains('\0'), "Postgres cannot keep {text:?}");
    }
}

#[test]
fn an_event_is_taken_refused_or_left_aside() {
    assert!(matches!(
        payload::event(serde_json::from_str(EVENTS[1]).expect("a seed")),
        Ok(Taken::Arrival(_))
    ));
    fuzz!(EVENTS, |text: &str| {
        if let Ok(value) = serde_json::from_str(text) {
            assert_whole(payload::event(value));
        }
    });
}

#[test]
fn an_interaction_is_taken_refused_or_left_aside() {
    fuzz!(INTERACTIONS, |text: &str| {
        if let Ok(value) = serde_json::from_str(text) {
            assert_whole(payload::interaction(value));
        }
    });
}

#[test]
fn a_body_is_read_or_refused() {
    assert!(
        FORMS.iter().all(|form| http::parcel(b"application/x-www-form-urlencoded", form.as_bytes()).is_ok())
    );
    fuzz!(FORMS, |text: &str| {
        let _ = http::parcel(b"application/x-www-form-urlencoded", text.as_bytes());
        let _ = http::parcel(b"application/json", text.as_bytes());
        if let Ok(command) = serde_json::from_str(text) {
            assert_whole(payload::command(command));
        }
    });
}

#[test]
fn no_text_is_taken_for_a_signature() {
    const SEEDS: &[&str] =
        &["v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503", "1531420618", "v0="];
    fuzz!(SEEDS, |text: &str| {
        let (bytes, now) = (text.as_bytes(), 1_531_420_618);
        assert!(signature::verify(b"secret", Some(bytes), Some(b"1531420618"), b"body", now).is_err());
        assert!(signature::verify(b"secret", Some(b"v0=00"), Some(bytes), b"body", now).is_err());
        let signed = signature::sign(b"secret", text, bytes);
        let ours = signature::verify(b"secret", Some(signed.as_bytes()), Some(bytes), bytes, now);
        assert_eq!(
            ours.is_ok(),
            text.parse::<i64>().is_ok_and(|at| now.abs_diff(at) <= 300) && !text.starts_with(['+', '-'])
        );
    });
}
