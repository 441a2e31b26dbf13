//! What senders post, as it becomes events.

mod alert;
mod cloud;

use heal::event::{Context, Event};

fn context() -> Context<'static> {
    Context { cluster: Some("prod-eu"), received: "2026-02-03T04:05:06Z".parse().unwrap() }
}

/// The one event of a message.
fn only(events: Vec<Event>) -> Event {
    let [event] = events.try_into().unwrap();
    event
}

#[test]
fn an_event_that_was_stored_is_read_back() {
    let batch = heal::event::read(alert::ALERTMANAGER.as_bytes(), context()).unwrap();
    let stored = serde_json::to_vec(&batch.events[0]).unwrap();
    assert_eq!(only(heal::event::read(&stored, context()).unwrap().events), batch.events[0]);
}

#[test]
fn what_is_no_event_is_told_what_would_be_one() {
    let error = heal::event::read(b"{}", context()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "read event: it has neither `alerts` (Alertmanager, Grafana) nor `specversion` (CloudEvents)"
    );
    assert_eq!(
        heal::event::read(b"{\"alerts\": 3", context()).unwrap_err().to_string(),
        "read event: EOF while parsing an object at line 1 column 12"
    );
}
