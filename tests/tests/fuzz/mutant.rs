//! Texts to try: a valid one, cut about by edits that the fuzzing engine chooses, so that most of them get past the first
//! check of a parser.

use bolero::TypeGenerator;

/// How a seed becomes another text.
#[derive(Clone, Debug, TypeGenerator)]
pub struct Recipe {
    seed: u8,
    edits: Edits,
}

#[derive(Clone, Debug, TypeGenerator)]
enum Edits {
    /// As it is.
    None,
    One(Edit),
    Two(Edit, Edit),
    Four([Edit; 4]),
    /// The seed does not matter.
    Noise(Vec<u8>),
}

/// Positions are taken modulo the text's length.
#[derive(Clone, Debug, TypeGenerator)]
enum Edit {
    Insert {
        at: u16,
        text: Vec<u8>,
    },
    /// Something that parsers trip over.
    Hurdle {
        at: u16,
        which: u8,
    },
    Flip {
        at: u16,
        byte: u8,
    },
    Remove {
        at: u16,
        length: u8,
    },
    /// What stands here, here again.
    Repeat {
        at: u16,
        length: u8,
        times: u8,
    },
    /// A piece of another seed.
    Splice {
        at: u16,
        seed: u8,
        from: u16,
        length: u8,
    },
    Cut {
        at: u16,
    },
}

const HURDLES: &[&str] = &[
    "\"",
    "'",
    "\\",
    "\0",
    "\n",
    "\r\n",
    "\u{feff}",
    "\u{202e}",
    "é",
    "🐦",
    "-",
    "--",
    "/",
    "..",
    ":",
    "<script>",
    "\"><img src=x onerror=a()>",
    "%00",
    "{",
    "[",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "}",
    "]",
    "(",
    ")",
    ",",
    "=",
    "null",
    "true",
    "-1",
    "0",
    "9223372036854775808",
    "1e999",
    "NaN",
    "${HOME}",
    "$(id)",
    "`id`",
    "#",
    " ",
    "\t",
];

impl Recipe {
    /// The text. Bytes that are no UTF-8 become replacement characters.
    pub fn cook(&self, seeds: &[&str]) -> String {
        let seed = |index: u8| seeds[usize::from(index) % seeds.len()].as_bytes();
        let mut text = seed(self.seed).to_vec();
        match &self.edits {
            Edits::None => {}
            Edits::One(edit) => edit.make(&mut text, seed),
            Edits::Two(first, second) => {
                [first, second].into_iter().for_each(|edit| edit.make(&mut text, seed))
            }
            Edits::Four(edits) => edits.iter().for_each(|edit| edit.make(&mut text, seed)),
            Edits::Noise(bytes) => text.clone_from(bytes),
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Edit {
    fn make<'a>(&self, text: &mut Vec<u8>, seed: impl Fn(u8) -> &'a [u8]) {
        let place = |at: u16| usize::from(at) % (text.len() + 1);
        match self {
            Edit::Insert { at, text: new } => insert(text, place(*at), new),
            Edit::Hurdle { at, which } => {
                let at = place(*at);
                insert(text, at, HURDLES[usize::from(*which) % HURDLES.len()].as_bytes());
            }
            Edit::Flip { at, byte } => {
                let at = place(*at);
                if let Some(here) = text.get_mut(at) {
                    *here = *byte;
                }
            }
            Edit::Remove { at, length } => {
                let range = piece(text, place(*at), *length);
                text.drain(range);
            }
            Edit::Repeat { at, length, times } => {
                let range = piece(text, place(*at), *length);
                let again = text[range.clone()].repeat(usize::from(*times % 8));
                insert(text, range.end, &again);
            }
            Edit::Splice { at, seed: other, from, length } => {
                let other = seed(*other);
                let range = piece(other, usize::from(*from) % (other.len() + 1), *length);
                let at = place(*at);
                insert(text, at, &other[range]);
            }
            Edit::Cut { at } => {
                let at = place(*at);
                text.truncate(at);
            }
        }
    }
}

fn piece(text: &[u8], start: usize, length: u8) -> std::ops::Range<usize> {
    start..(start + usize::from(length)).min(text.len())
}

fn insert(text: &mut Vec<u8>, at: usize, new: &[u8]) {
    text.splice(at..at, new.iter().copied());
}

/// Tries a parser on mutants of the seeds, for about a second. The seeds themselves come first, so that a property that
/// holds only because nothing parses is noticed by the target's own assertion on them.
macro_rules! fuzz {
    ($seeds:expr, $check:expr) => {{
        let seeds: &[&str] = $seeds;
        let check = $check;
        for seed in seeds {
            check(*seed);
        }
        bolero::check!()
            .with_type::<$crate::mutant::Recipe>()
            .map(|recipe| recipe.cook(seeds))
            .with_test_time(std::time::Duration::from_secs(1))
            .with_iterations(20_000)
            .with_max_len(2_048)
            .for_each(|text| check(text.as_str()))
    }};
}
pub(crate) use fuzz;

/// Line and column, both from 1, lie in the text or right behind it.
pub fn assert_inside(text: &str, line: usize, column: usize) {
    let width = text.split('\n').nth(line.wrapping_sub(1)).map(|line| line.chars().count());
    assert!(
        width.is_some_and(|width| (1..=width + 1).contains(&column)),
        "{line}:{column} is not in {text:?}"
    );
}
