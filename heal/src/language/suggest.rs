//! Did you mean?

use super::problem::shown;

/// The known word that was probably meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody mistypes a word of a hundred letters, and comparing costs their square.
    if word.len() > 100 {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(known, &word), known))
        .filter(|(distance, known)| {
            *distance <= 1 + known.len().min(word.len()) / 4 && *distance < word.len()
        })
        .min()
        .map(|(_, known)| known)
}

/// "did you mean `restart`?", or the words there are.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(known) => format!("did you mean `{known}`?"),
        None => one_of(known),
    }
}

/// "write `a`, `b` or `c`"
pub(super) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    format!("write {}", listed(words))
}

/// "`a`, `b` or `c`"
pub(super) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{}`", shown(word))).collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_another_word_is_not() {
        let known = ["restart", "scale", "rollback", "set_image"];
        assert_eq!(nearest("restrat", known), Some("restart"));
        assert_eq!(nearest("Set-Image", known), Some("set_image"));
        assert_eq!(nearest("explode", known), None);
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest(&"restart".repeat(100), known), None);
    }

    #[test]
    fn known_words_are_listed_as_people_do() {
        assert_eq!(did_you_mean("x", ["a1", "b2", "c3"]), "write `a1`, `b2` or `c3`");
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed([]), "");
    }
}
