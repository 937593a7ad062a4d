//! Regular expressions. Trino documentation, "Regular expression functions": Java's patterns, without what looks around.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow::array::ArrayRef;
use datafusion::common::Result;
use regex::{Regex, RegexBuilder};

use super::call::{Call, Overload, bad, of};

/// The most memory of a pattern in bytes.
const MAX_PATTERN: usize = 4 << 20;
/// Patterns that are kept.
const KEPT: usize = 256;

/// Patterns that were read.
#[derive(Default)]
struct Known(Mutex<HashMap<String, Arc<Regex>>>);

impl Known {
    fn get(&self, pattern: &str) -> Result<Arc<Regex>> {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(regex) = known.get(pattern) {
            return Ok(Arc::clone(regex));
        }
        let regex = RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build();
        let regex = Arc::new(regex.map_err(|error| bad(format!("the pattern '{pattern}': {error}")))?);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(pattern.to_owned(), Arc::clone(&regex));
        Ok(regex)
    }
}

/// Every function of this file.
pub fn all() -> Vec<Overload> {
    vec![
        of("regexp_like(varchar, varchar) -> boolean", |call| {
            let known = Known::default();
            call.flags(|row| Ok(Some(known.get(row.text(1))?.is_match(row.text(0)))))
        }),
        of("regexp_count(varchar, varchar) -> bigint", |call| {
            let known = Known::default();
            call.ints(|row| Ok(Some(known.get(row.text(1))?.find_iter(row.text(0)).count() as i64)))
        }),
        of("regexp_extract(varchar, varchar) -> varchar", extract),
        of("regexp_extract(varchar, varchar, bigint) -> varchar", extract),
        of("regexp_extract_all(varchar, varchar) -> array(varchar)", extract_all),
        of("regexp_extract_all(varchar, varchar, bigint) -> array(varchar)", extract_all),
        of("regexp_position(varchar, varchar) -> integer", position),
        of("regexp_position(varchar, varchar, bigint) -> integer", position),
        of("regexp_position(varchar, varchar, bigint, bigint) -> integer", position),
        of("regexp_replace(varchar, varchar) -> varchar", replace),
        of("regexp_replace(varchar, varchar, varchar) -> varchar", replace),
        of("regexp_split(varchar, varchar) -> array(varchar)", |call| {
            let known = Known::default();
            call.lists(|row| {
                let regex = known.get(row.text(1))?;
                Ok(Some(regex.split(row.text(0)).map(|part| Some(part.to_owned())).collect()))
            })
        }),
    ]
}

fn group(regex: &Regex, number: i64) -> Result<usize> {
    if number < 0 {
        return Err(bad("Group cannot be negative"));
    }
    let most = regex.captures_len() - 1;
    usize::try_from(number)
        .ok()
        .filter(|group| *group <= most)
        .ok_or_else(|| bad(format!("Pattern has {most} groups. Cannot access group {number}")))
}

fn extract(call: &Call<'_>) -> Result<ArrayRef> {
    let known = Known::default();
    call.texts(|row| {
        let regex = known.get(row.text(1))?;
        let group = group(&regex, if call.len() > 2 { row.int(2) } else { 0 })?;
        Ok(regex.captures(row.text(0)).and_then(|found| found.get(group)).map(|found| found.as_str()))
    })
}

fn extract_all(call: &Call<'_>) -> Result<ArrayRef> {
    let known = Known::default();
    call.lists(|row| {
        let regex = known.get(row.text(1))?;
        let group = group(&regex, if call.len() > 2 { row.int(2) } else { 0 })?;
        let all = regex.captures_iter(row.text(0));
        Ok(Some(all.map(|found| found.get(group).map(|found| found.as_str().to_owned())).collect()))
    })
}

fn position(call: &Call<'_>) -> Result<ArrayRef> {
    let known = Known::default();
    call.ints(|row| {
        let (regex, text) = (known.get(row.text(1))?, row.text(0));
        let start = if call.len() > 2 { row.int(2) } else { 1 };
        let nth = if call.len() > 3 { row.int(3) } else { 1 };
        if start < 1 || nth < 1 {
            return Err(bad("start position and occurrence cannot be smaller than 1"));
        }
        let from = text.char_indices().nth(usize::try_from(start).unwrap_or(usize::MAX) - 1).map(|(at, _)| at);
        let Some(from) = from else { return Ok(Some(-1)) };
        let found = regex.find_iter(&text[from..]).nth(usize::try_from(nth).unwrap_or(usize::MAX) - 1);
        Ok(Some(found.map_or(-1, |found| text[..from + found.start()].chars().count() as i64 + 1)))
    })
}

/// A replacement as Java writes it: `$1`, `${name}`, and `\` before what is meant as it stands.
fn replacement(regex: &Regex, text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => return Err(bad("character to be escaped is missing")),
            },
            '$' if letters.peek() == Some(&'{') => {
                letters.next();
                let name: String = letters.by_ref().take_while(|letter| *letter != '}').collect();
                if !regex.capture_names().flatten().any(|known| known == name) {
                    return Err(bad(format!("Illegal replacement sequence: unknown group {{ {name} }}")));
                }
                out.push_str(&format!("${{{name}}}"));
            }
            '$' => {
                let Some(digit) = letters.next().and_then(|letter| letter.to_digit(10)) else {
                    return Err(bad("Illegal replacement sequence: Illegal group reference"));
                };
                let mut number = group(regex, i64::from(digit))?;
                // As many digits as still name a group.
                while let Some(more) = letters.peek().and_then(|letter| letter.to_digit(10)) {
                    let longer = number * 10 + more as usize;
                    if longer >= regex.captures_len() {
                        break;
                    }
                    number = longer;
                    letters.next();
                }
                out.push_str(&format!("${{{number}}}"));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

fn replace(call: &Call<'_>) -> Result<ArrayRef> {
    let known = Known::default();
    call.texts(|row| {
        let regex = known.get(row.text(1))?;
        let with = if call.len() > 2 { replacement(&regex, row.text(2))? } else { String::new() };
        Ok(Some(regex.replace_all(row.text(0), with.as_str())))
    })
}
