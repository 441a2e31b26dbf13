//! What people type.

use crate::mutant::fuzz;
use actions::cluster::{is_dns_label, is_dns_subdomain};
use bot::{
    draw,
    grammar::{Context, Line, Names, complete, parse},
};

const LINES: &[&str] = &[
    "scale deploy/checkout 6 -n shop -c prod-eu --why \"flash sale\"",
    "scale sts/db +2",
    "restart deploy/checkout --why 'it hangs' --dry-run",
    "set-image deploy/checkout app=registry.example/checkout:1.4.2@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "set-resources deploy/checkout app --cpu 250m --memory 512Mi",
    "rollback deploy/checkout --to 3",
    "delete-pod pod/checkout-7d4b9c-x2x7k",
    "pause deploy/checkout",
    "run-job cj/nightly",
    "break-glass restart deploy/checkout -n shop -c prod-eu --why outage",
    "get pods -n shop -l 'app in (checkout,cart),tier!=web,!canary'",
    "get deploy -A -c staging",
    "describe deploy/checkout",
    "logs pod/checkout-7d4b9c-x2x7k --tail 100",
    "top pods",
    "events -n shop",
    "requests --state awaiting,approved --text \"#12\"",
    "approve 0199c0de --reason ok",
    "deny 0199c0de --reason \"not now\"",
    "help scale",
    "whoami",
];

fn read<'a>(line: &str, clusters: &'a [String], room: Option<(&'a str, &'a str)>) -> Result<Line, String> {
    let (cluster, namespace) = room.unzip();
    parse(line, &Context { clusters, cluster, namespace }).map_err(|card| draw::text(&card, str::to_string))
}

#[test]
fn a_line_is_refused_in_words_or_has_one_canonical_form() {
    let clusters = ["prod-eu", "staging"].map(String::from);
    fuzz!(LINES, |text: &str| {
        for room in [None, Some(("staging", "shop"))] {
            let line = match read(text, &clusters, room) {
                Ok(line) => line,
                Err(words) => {
                    assert!(!words.trim().is_empty());
                    continue;
                }
            };
            // In a room without defaults: nothing may be left out of the canonical form.
            let again = read(line.canonical(), &clusters, None).unwrap_or_else(|error| {
                panic!("{text:?} became {:?}, which says: {error}", line.canonical())
            });
            assert_eq!(again.canonical(), line.canonical());
            match (line, again) {
                (Line::Ask(line), Line::Ask(again)) => {
                    assert_eq!(line, again);
                    assert!(clusters.contains(&line.target.cluster));
                    assert!(is_dns_subdomain(&line.target.name), "{:?}", line.target);
                    assert!(line.target.namespace.as_deref().is_none_or(is_dns_label), "{:?}", line.target);
                }
                (Line::Query(line), Line::Query(again)) => {
                    assert_eq!((&line.cluster, &line.namespace), (&again.cluster, &again.namespace));
                    assert!(clusters.contains(&line.cluster));
                    assert!(line.namespace.as_deref().is_none_or(is_dns_label), "{:?}", line.namespace);
                }
                (Line::Own(line), Line::Own(again)) => {
                    assert_eq!((line.cluster, line.namespace), (again.cluster, again.namespace));
                }
                _ => panic!("{text:?} is another kind of line in its canonical form"),
            }
        }
    });
}

#[test]
fn completion_offers_only_what_continues_the_word() {
    let clusters = ["prod-eu", "staging"].map(String::from);
    let context = Context { clusters: &clusters, cluster: Some("staging"), namespace: Some("shop") };
    fuzz!(LINES, |text: &str| {
        for cursor in [text.len() / 2, text.len(), text.len() + 1] {
            for word in complete(text, cursor, &context, &Names::default()) {
                assert!(!word.is_empty() && !word.contains(char::is_control), "{word:?}");
            }
        }
    });
}
