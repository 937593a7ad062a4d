//! Text without regard to case, as AWS's matcher sees it: each character of the *pattern* stands for its lower and its upper form
//! (Unicode's full mappings of one character), and the event has to have one of the two. `ß` therefore stands for `ß` and `SS`.

/// A text of a pattern, in both cases.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Folded {
    /// As it stands in the pattern.
    text: Box<str>,
    /// Each character's forms; `upper` is empty when it is the same.
    forms: Box<[Forms]>,
    ascii: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Forms {
    lower: Box<str>,
    upper: Box<str>,
}

impl Folded {
    pub(crate) fn new(text: &str) -> Self {
        let forms = |c: char| Forms {
            lower: c.to_lowercase().collect::<String>().into(),
            upper: c.to_uppercase().collect::<String>().into(),
        };
        let ascii = text.is_ascii();
        // ASCII is compared by itself; it needs no forms.
        let forms = if ascii { Box::default() } else { text.chars().map(forms).collect() };
        Self { text: text.into(), forms, ascii }
    }

    /// The text as it stands in the pattern.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn equals(&self, text: &str) -> bool {
        if self.ascii {
            return self.text.eq_ignore_ascii_case(text);
        }
        self.begins(text).is_some_and(|used| used == text.len())
    }

    pub(crate) fn starts(&self, text: &str) -> bool {
        self.begins(text).is_some()
    }

    pub(crate) fn ends(&self, text: &str) -> bool {
        if self.ascii {
            let start = text.len().checked_sub(self.text.len());
            return start.is_some_and(|start| text.as_bytes()[start..].eq_ignore_ascii_case(self.text.as_bytes()));
        }
        let mut rest = text;
        self.forms.iter().rev().all(|forms| {
            let before = rest.strip_suffix(&*forms.lower).or_else(|| rest.strip_suffix(&*forms.upper));
            before.inspect(|before| rest = before).is_some()
        })
    }

    /// How many bytes of a text it covers from the start. No form of a character begins with its other form, so the first that fits is right.
    fn begins(&self, text: &str) -> Option<usize> {
        if self.ascii {
            let start = text.as_bytes().get(..self.text.len())?;
            return start.eq_ignore_ascii_case(self.text.as_bytes()).then_some(start.len());
        }
        let mut rest = text;
        for forms in &self.forms {
            rest = rest.strip_prefix(&*forms.lower).or_else(|| rest.strip_prefix(&*forms.upper))?;
        }
        Some(text.len() - rest.len())
    }

    /// What every text that it equals becomes by [`fold`]; none when there is no such one thing (`ẞ` and a few others).
    pub(crate) fn key(&self) -> Option<String> {
        let same = |forms: &Forms| fold(&forms.lower) == fold(&forms.upper);
        self.forms.iter().all(same).then(|| fold(&self.text))
    }
}

/// A text in one case, character by character.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_case_of_the_pattern_counts() {
        for (pattern, text, equal) in [
            ("aLICE", "Alice", true),
            ("", "", true),
            ("ÄÉ", "äé", true),
            ("äé", "ÄÉ", true),
            ("ß", "SS", true),
            ("ß", "ss", false),
            ("ß", "ß", true),
            ("SS", "ß", false),
            ("k", "\u{212a}", false),
            ("\u{212a}", "k", true),
            ("σ", "Σ", true),
            ("σ", "ς", false),
            ("😀a", "😀A", true),
            ("İ", "i\u{307}", true),
        ] {
            assert_eq!(Folded::new(pattern).equals(text), equal, "{pattern} {text}");
        }
        assert!(Folded::new("äl").starts("ÄLice") && !Folded::new("äl").starts("Ä"));
        assert!(Folded::new("CÉ").ends("alicé") && !Folded::new("CÉ").ends("é"));
        assert!(Folded::new("ce").ends("aliCE") && Folded::new("").ends("") && Folded::new("").starts("x"));
    }

    /// What `begins` and `ends` rely on.
    #[test]
    fn no_form_of_a_character_begins_or_ends_with_its_other_form() {
        for c in ('\0'..=char::MAX).filter(|c| !c.is_ascii()) {
            let (lower, upper): (String, String) = (c.to_lowercase().collect(), c.to_uppercase().collect());
            if lower != upper {
                assert!(!lower.starts_with(&upper) && !upper.starts_with(&lower), "{c}");
                assert!(!lower.ends_with(&upper) && !upper.ends_with(&lower), "{c}");
            }
        }
    }

    #[test]
    fn keys_are_those_of_all_that_is_equal() {
        for pattern in ["aLICE", "äÉ", "İx", "straße"] {
            let folded = Folded::new(pattern);
            let Some(key) = folded.key() else { continue };
            for text in [pattern.to_lowercase(), pattern.to_uppercase(), pattern.to_owned()] {
                assert!(!folded.equals(&text) || fold(&text) == key, "{pattern} {text}");
            }
        }
        assert_eq!(Folded::new("ẞ").key(), None);
    }
}
