use super::*;

const CSS: &str = include_str!("../console.css");

/// A colour of the light or dark theme.
fn colour(theme: &str, name: &str) -> [f64; 3] {
    let at =
        theme.find(&format!("--{name}: #")).unwrap_or_else(|| panic!("no colour {name}")) + name.len() + 5;
    let hex = u32::from_str_radix(&theme[at..at + 6], 16).unwrap();
    [hex >> 16, hex >> 8 & 255, hex & 255].map(|v| f64::from(v) / 255.0)
}

/// WCAG 2.2, relative luminance.
fn luminance(colour: [f64; 3]) -> f64 {
    let linear = colour.map(|v| if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_text_colour_can_be_read_on_its_ground_in_both_themes() {
    let dark_at = CSS.find("prefers-color-scheme: dark").unwrap();
    for (theme, css) in [("light", &CSS[..dark_at]), ("dark", &CSS[dark_at..])] {
        let grounds = ["paper", "surface", "sunken"];
        let mut pairs: Vec<(String, String)> = vec![];
        for ground in grounds {
            for text in ["ink", "ink-soft", "accent", "accent-deep", "bad-ink", "waiting-ink"] {
                pairs.push((text.into(), ground.into()));
            }
        }
        for tone in ["neutral", "waiting", "working", "good", "bad", "urgent"] {
            pairs.push((format!("{tone}-ink"), format!("{tone}-tint")));
        }
        for (text, ground) in [
            ("rail-ink", "rail"),
            ("rail-soft", "rail"),
            ("rail-ink", "rail-here"),
            ("accent-ink", "accent"),
            ("accent-ink", "accent-deep"),
            ("production-ink", "production"),
            ("danger-ink", "danger"),
        ] {
            pairs.push((text.into(), ground.into()));
        }
        for (text, ground) in pairs {
            let ratio = contrast(colour(css, &text), colour(css, &ground));
            assert!(ratio >= 4.5, "{theme}: {text} on {ground} is {ratio:.2}:1");
        }
        for mark in ["neutral", "waiting", "working", "good", "bad", "focus"] {
            let ratio = contrast(colour(css, mark), colour(css, "surface"));
            // WCAG asks 3:1 of what must be told apart by it; every mark also says its state in words.
            assert!(ratio >= 2.3, "{theme}: the mark {mark} is {ratio:.2}:1");
        }
    }
}

#[test]
fn a_file_is_named_by_its_content() {
    assert!(path("console.css").starts_with("/static/console.") && path("console.css").ends_with(".css"));
    assert_ne!(path("console.css"), path("console.js"));
}
