//! Text and tree say the same: whatever tree is printed is read back, and printing is stable.

use super::{EXAMPLES_FOR_CUTTING, parsed};
use heal::language::{
    At, Catalogue, Span,
    ast::{
        Argument, Attribute, Call, Check, Commented, Condition, Expression, File, Given, Limit, Line, List,
        On, Operator, Origin, Pod, Rule, Scope, Step, Subject, Text, Value, Verify, Which,
    },
    check, format, parse,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::time::Duration;

fn at<T>(value: T) -> At<T> {
    At::new(value, Span::default())
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof!["[a-zäß🐦 \"\\\\{}#/\n\t]{0,12}", any::<String>()].prop_map(at)
}

fn word() -> impl Strategy<Value = Text> {
    "[a-zß_][a-z0-9_]{0,8}".prop_map(at)
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        (0_u32..100_000).prop_map(f64::from),
        0.0..1e9,
        (-1e3..1e3),
        any::<f64>().prop_filter("finite", |n| n.is_finite())
    ]
}

fn positive() -> impl Strategy<Value = f64> {
    number().prop_map(f64::abs)
}

fn duration() -> impl Strategy<Value = At<Duration>> {
    (0_u64..40 * 86_400_000).prop_map(|ms| at(Duration::from_millis(ms)))
}

fn operator() -> impl Strategy<Value = At<Operator>> {
    select(Operator::ALL).prop_map(at)
}

fn value() -> impl Strategy<Value = At<Value>> {
    prop_oneof![number().prop_map(Value::Number), text().prop_map(|text| Value::Text(text.value))]
        .prop_map(at)
}

fn line() -> impl Strategy<Value = Line> {
    ("(#|//)", "[^\n]{0,12}", any::<bool>()).prop_map(|(sign, words, _)| {
        let visible: String = words.chars().filter(|c| !c.is_control() && !is_hidden(*c)).collect();
        Line::Comment(format!("{sign}{}", visible.trim_end()))
    })
}

fn is_hidden(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// Comments, and perhaps an empty line behind each, but none at the end where that means nothing.
fn lines(blank_at_end: bool) -> impl Strategy<Value = Vec<Line>> {
    vec((line(), any::<bool>()), 0..3).prop_map(move |lines| {
        let mut out = Vec::new();
        let last = lines.len();
        for (place, (line, blank)) in lines.into_iter().enumerate() {
            out.push(line);
            if blank && (blank_at_end || place + 1 < last) {
                out.push(Line::Blank);
            }
        }
        out
    })
}

fn commented<T: std::fmt::Debug + Clone + 'static>(
    inner: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Commented<T>> {
    let after = option::weighted(0.2, line()).prop_map(|line| match line {
        Some(Line::Comment(comment)) => Some(comment),
        _ => None,
    });
    (lines(true), inner, after).prop_map(|(before, value, after)| Commented { before, value, after }).boxed()
}

fn bare<T: std::fmt::Debug>(inner: impl Strategy<Value = T>) -> impl Strategy<Value = Commented<T>> {
    inner.prop_map(|value| Commented { before: Vec::new(), value, after: None })
}

fn attribute() -> impl Strategy<Value = Attribute> {
    (word(), option::of(prop_oneof![word(), text()]))
        .prop_filter_map("a keyword", |(name, key)| (name.value != "not").then_some(Attribute { name, key }))
}

fn expression() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![
        (attribute(), operator(), value()).prop_map(|(attribute, operator, value)| Expression::Compare {
            attribute,
            operator,
            value
        }),
        (attribute(), vec(value(), 1..4))
            .prop_map(|(attribute, values)| Expression::In { attribute, values }),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(|parts| Expression::Or(flat(parts, true))),
            vec(inner.clone(), 2..4).prop_map(|parts| Expression::And(flat(parts, false))),
            inner.prop_map(|inner| Expression::Not(Box::new(inner))),
        ]
    })
}

fn flat(parts: Vec<Expression>, or: bool) -> Vec<Expression> {
    parts
        .into_iter()
        .flat_map(|part| match part {
            Expression::Or(inner) if or => inner,
            Expression::And(inner) if !or => inner,
            other => vec![other],
        })
        .collect()
}

fn pod() -> impl Strategy<Value = Pod> {
    let which = prop_oneof![
        select(vec![Subject::Workload, Subject::Pod]).prop_map(Which::Subject),
        text().prop_map(|name| Which::Name(name.value)),
    ];
    (which, option::of(text())).prop_map(|(which, container)| Pod { which: at(which), container })
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        (text(), operator(), number(), option::of(duration())).prop_map(
            |(query, operator, bound, lasting)| {
                Condition::Promql { query, operator, bound: at(bound), lasting }
            }
        ),
        (option::of(pod()), text(), text(), operator(), value()).prop_map(
            |(pod, command, pattern, operator, value)| Condition::Exec {
                pod,
                command,
                pattern,
                operator,
                value
            }
        ),
        (text(), duration(), operator(), number()).prop_map(|(pattern, within, operator, count)| {
            Condition::Log { pattern, within, operator, count: at(count) }
        }),
        (select(Subject::ALL), text(), operator(), text()).prop_map(|(subject, name, operator, value)| {
            Condition::Status { subject: at(subject), name, operator, value }
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let given = prop_oneof![
        select(Subject::ALL).prop_map(Given::Subject),
        text().prop_map(|text| Given::Text(text.value)),
        positive().prop_map(Given::Number),
        number().prop_map(Given::Change),
        duration().prop_map(|duration| Given::Duration(duration.value)),
    ];
    let argument = (option::of(word()), given).prop_map(|(name, given)| Argument { name, value: at(given) });
    let action = word().prop_filter("a keyword", |name| {
        !["wait", "on", "rule", "when", "unless", "limit", "then", "verify", "else"]
            .contains(&name.value.as_str())
    });
    prop_oneof![
        duration().prop_map(Step::Wait),
        (action, vec(argument, 0..4)).prop_map(|(action, arguments)| Step::Action(Call {
            action,
            arguments,
            span: Span::default()
        })),
    ]
}

fn list<T: std::fmt::Debug + Clone + 'static>(
    item: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = List<T>> {
    (vec(commented(item), 0..4), lines(false)).prop_map(|(items, end)| List {
        items,
        end,
        span: Span::default(),
    })
}

fn verify() -> impl Strategy<Value = Verify> {
    let check = prop_oneof![
        Just(Check::AlertResolved(Span::default())),
        Just(Check::RolloutHealthy(Span::default())),
        condition().prop_map(|condition| Check::Holds(Box::new(condition))),
    ];
    (duration(), list(check)).prop_map(|(within, checks)| Verify { within, checks })
}

fn limit() -> impl Strategy<Value = Limit> {
    (any::<u32>(), duration(), select(Scope::ALL)).prop_map(|(count, per, scope)| Limit {
        count: at(count),
        per,
        scope: at(scope),
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let on = (select(Origin::ALL), text(), option::of(expression()))
        .prop_map(|(origin, name, filter)| On { origin: at(origin), name, filter })
        .boxed();
    let named = prop_oneof![(text().prop_map(Some), commented(on.clone())), (Just(None), bare(on)),];
    (
        named,
        vec(commented(condition()), 0..3),
        option::of(commented(duration())),
        vec(commented(limit()), 0..3),
        commented(list(step())),
        option::of(commented(verify())),
        option::of(commented(list(step()))),
        lines(false),
    )
        .prop_map(|((name, on), when, unless, limits, then, verify, otherwise, end)| Rule {
            name,
            on,
            when,
            unless,
            limits,
            then,
            verify,
            otherwise,
            end,
            span: Span::default(),
        })
}

fn file() -> impl Strategy<Value = File> {
    (vec(commented(rule()), 0..3), lines(false)).prop_map(|(rules, end)| File { rules, end })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_printed_is_read_back_as_it_was(file in file()) {
        let source = format(&file);
        let again = parsed(&source);
        prop_assert_eq!(&again, &file, "{}", source);
        prop_assert_eq!(format(&again), source);
    }

    #[test]
    fn any_tree_can_be_checked(file in file()) {
        check(&file, &Catalogue::standard());
    }

    #[test]
    fn any_text_is_read_or_located_and_what_is_read_is_printed_stably(
        source in prop_oneof![any::<String>(), "[a-z \"{}\\[\\](),:.><=~!0-9#\n-]{0,80}", cut()]
    ) {
        let (file, problems) = parse(&source);
        for problem in problems.iter().chain(&check(&file, &Catalogue::standard())) {
            let (line, column) = problem.position(&source);
            prop_assert!(line <= source.matches('\n').count() + 1 && column >= 1);
            problem.render("a.heal", &source, false);
        }
        let printed = format(&file);
        let again = parsed(&printed);
        prop_assert_eq!(&again, &file, "{}", printed);
        prop_assert_eq!(format(&again), printed);
    }
}

/// A good file with a piece taken out and another put in.
fn cut() -> impl Strategy<Value = String> {
    let place = || any::<prop::sample::Index>();
    (select(&EXAMPLES_FOR_CUTTING[..]), place(), 0_usize..20, "[a-z \"{}\\[\\](),#\n]{0,4}").prop_map(
        |(source, place, length, new)| {
            let letters: Vec<char> = source.chars().collect();
            let start = place.index(letters.len());
            let end = (start + length).min(letters.len());
            letters[..start].iter().collect::<String>() + &new + &letters[end..].iter().collect::<String>()
        },
    )
}
