//! Input that was made to hurt: answered in bounded time, without a panic, and never by a flood.

use super::{problems, report};
use heal::language::{LONGEST_FILE, MOST_PROBLEMS, format, parse};
use rustix::time::{ClockId, clock_gettime};

/// A rule with this behind `where`.
fn filter(expression: &str) -> String {
    format!("on alert \"A\" where {expression} {{\n  then [ notify(\"#ops\") ]\n}}\n")
}

/// How many times more the text costs when it is sixteen times longer: about sixteen is linear, 256 quadratic. Counted in
/// the processor's time of this thread, since others may be at work.
fn growth(text: impl Fn(usize) -> String) -> f64 {
    let cost = |size: usize| {
        let text = text(size);
        let time = || {
            let start = clock_gettime(ClockId::ThreadCPUTime);
            let (file, found) = parse(&text);
            assert!(found.len() <= MOST_PROBLEMS);
            std::hint::black_box(format(&file));
            let end = clock_gettime(ClockId::ThreadCPUTime);
            (end.tv_sec - start.tv_sec) as f64 + (end.tv_nsec - start.tv_nsec) as f64 * 1e-9
        };
        (0..5).map(|_| time()).fold(f64::MAX, f64::min)
    };
    cost(4_000) / cost(250).max(0.000_05)
}

#[test]
fn nesting_is_bounded() {
    for deep in [
        filter(&format!("{}severity > 1{}", "(".repeat(20_000), ")".repeat(20_000))),
        filter(&format!("{}severity > 1", "not ".repeat(20_000))),
    ] {
        assert!(problems(&deep)[0].message.contains("nests deeper than 32"));
    }
    let allowed = filter(&format!("{}severity > 1{}", "not (".repeat(16), ")".repeat(16)));
    assert_eq!(problems(&allowed), []);
    let brackets = "[".repeat(50_000);
    assert!(!problems(&filter(&brackets)).is_empty());
    assert!(!problems(&brackets).is_empty());
    assert!(!problems(&"on alert \"A\" {".repeat(5_000)).is_empty());
}

#[test]
fn a_file_is_read_in_time_linear_in_its_length() {
    for text in [
        |size: usize| filter(&format!("name == \"{}\"", "x".repeat(size * 10))),
        |size: usize| filter(&vec!["severity > 1"; size].join(" or ")),
        |size: usize| filter(&format!("name in [{}]", "\"x\", ".repeat(size))),
        |size: usize| "rule \"a\" {\n}\n".repeat(size),
        |size: usize| "# comment\n\n".repeat(size),
        |size: usize| format!("on alert \"A\" {{ then [ {} ] }}", "restart(workload) # why\n, ".repeat(size)),
        |size: usize| "\"".repeat(size * 10),
        |size: usize| "{".repeat(size * 10),
        |size: usize| "when ".repeat(size),
        |size: usize| format!("on alert \"A\" {{ {} }}", "when x\n".repeat(size)),
        |size: usize| "on ".repeat(size * 5),
        |size: usize| "\u{1f426}".repeat(size),
    ] {
        let growth = growth(text);
        assert!(growth < 100.0, "{growth} for sixteen times {:?}", &text(2));
    }
}

#[test]
fn a_file_that_is_too_long_is_refused_before_it_is_read() {
    let long = "#".repeat(LONGEST_FILE + 1);
    assert_eq!(problems(&long)[0].message, "the file is longer than 1048576 bytes");
    assert!(problems(&"#".repeat(LONGEST_FILE)).is_empty());
    let text = filter(&format!("name == \"{}\"", "é".repeat(LONGEST_FILE / 2 - 200)));
    assert!(problems(&text).is_empty());
}

#[test]
fn a_report_never_floods_the_reader() {
    let rubbish = "% ".repeat(100_000);
    assert_eq!(problems(&rubbish).len(), MOST_PROBLEMS);
    let wide = report(&filter(&format!("nmae == \"{}\"", "x".repeat(500_000))));
    assert!(wide.contains("did you mean `name`?"), "{wide}");
    assert!(wide.len() < 4_000, "{} bytes", wide.len());
    let name = "x".repeat(500_000);
    let long = report(&filter(&format!("{name} == 1")));
    assert!(long.len() < 4_000, "{} bytes: {}", long.len(), &long[..300]);
}

#[test]
fn a_report_never_moves_the_readers_cursor() {
    let shown =
        report("on alert \"\u{1b}[2Jx\u{7}\" { then [ \u{202e}boom(\u{1b}, \u{9b}31m \u{200f}) ] } \u{0}");
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    assert!(!shown.contains(['\u{202e}', '\u{200f}']), "{shown:?}");
}

#[test]
fn letters_that_hide_what_a_rule_does_are_refused() {
    let found = problems("# harmless \u{2066}\non alert \"A\" { then [ notify(\"#ops\") ] }");
    assert_eq!(found[0].message, "an invisible letter (U+2066) turns the direction of writing");
    assert!(problems("on alert \"\\u{2066}\" { then [ notify(\"#ops\") ] }").is_empty());
}

#[test]
fn expressions_that_are_slow_or_huge_elsewhere_are_refused_or_harmless() {
    assert!(problems(&filter("name =~ \"(x{1000}){1000}\""))[0].label.contains("too large"));
    assert_eq!(problems(&filter("name =~ \"(x+x+)+y\"")), []);
}

#[test]
fn a_comment_that_turns_the_direction_of_writing_is_told_and_printed_without_it() {
    let (file, problems) =
        parse("# nothing \u{202e}\nrule \"a\" { on alert \"A\" then [ notify(\"#ops\") ] }\n");
    assert_eq!(problems.len(), 1, "{problems:?}");
    let printed = format(&file);
    assert!(printed.starts_with("# nothing\n"), "{printed}");
    assert_eq!(parse(&printed), (file, Vec::new()));
}
