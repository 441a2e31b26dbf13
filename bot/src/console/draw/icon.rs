//! The few pictures of the console, drawn inline so that they take the colour of their text.

use maud::{Markup, html};

/// The bird.
pub fn petrel() -> Markup {
    html! {
        svg.bird viewBox="0 0 48 48" aria-hidden="true" focusable="false" {
            path d="M1 13c8-3 15-1 20 6 1 1.500 2 2.500 3 2.500s2-1 3-2.500c5-7 12-9 20-6-7 1-12 4-15.500 9-2 3-3.500 5.500-4 8.500l2 10.500-5.500-5-5.500 5 2-10.500c-.5-3-2-5.500-4-8.500C13 17 8 14 1 13z" {}
            path.rump d="M19.600 29.500c2.700 1.600 6.100 1.600 8.800 0l.6 3.600c-3.100 1.900-6.900 1.900-10 0z" {}
        }
    }
}

/// The mark of a step, with its state for those who cannot see it.
pub fn step(state: &str) -> Markup {
    let path = match state {
        "done" => "M3.500 8.500l3 3 6-7",
        "failed" => "M4 4l8 8M12 4l-8 8",
        "unknown" => "M5.500 6a2.500 2.500 0 1 1 3.700 2.200C8.300 8.700 8 9.200 8 10M8 12.600v.1",
        "working" => "M8 2.500a5.500 5.500 0 1 1-5.500 5.500",
        _ => "M8 8v.1",
    };
    html! {
        svg viewBox="0 0 16 16" aria-hidden="true" focusable="false" { path d=(path) {} }
    }
}
