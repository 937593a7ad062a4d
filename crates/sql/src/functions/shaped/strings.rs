//! Texts. Trino documentation, "String functions and operators". A place in a text is a code point's, from 1.

use arrow::array::{ArrayRef, AsArray};
use datafusion::common::Result;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

use super::call::{Call, Overload, bad, of};

/// The longest text that padding or repeating makes, in bytes.
const MAX_TEXT: usize = 16 << 20;

/// Every function of this file.
pub fn all() -> Vec<Overload> {
    vec![
        of("chr(bigint) -> varchar", |call| {
            call.texts(|row| {
                let letter = u32::try_from(row.int(0)).ok().and_then(char::from_u32);
                let letter = letter.ok_or_else(|| bad(format!("Not a valid Unicode code point: {}", row.int(0))))?;
                Ok(Some(letter.to_string()))
            })
        }),
        of("codepoint(varchar) -> integer", |call| {
            call.ints(|row| {
                let mut letters = row.text(0).chars();
                match (letters.next(), letters.next()) {
                    (Some(letter), None) => Ok(Some(i64::from(u32::from(letter)))),
                    _ => Err(bad("Input string must be a single character string")),
                }
            })
        }),
        of("concat_ws(varchar, varchar...) -> varchar", concat_ws),
        of("concat_ws(varchar, array(varchar)) -> varchar", concat_array),
        of("hamming_distance(varchar, varchar) -> bigint", hamming),
        of("levenshtein_distance(varchar, varchar) -> bigint", levenshtein),
        of("length(varchar) -> bigint", |call| call.ints(|row| Ok(Some(row.text(0).chars().count() as i64)))),
        of("length(varbinary) -> bigint", |call| call.ints(|row| Ok(Some(row.bytes(0).len() as i64)))),
        of("lower(varchar) -> varchar", |call| call.texts(|row| Ok(Some(row.text(0).to_lowercase())))),
        of("upper(varchar) -> varchar", |call| call.texts(|row| Ok(Some(row.text(0).to_uppercase())))),
        of("lpad(varchar, bigint, varchar) -> varchar", |call| pad(call, true)),
        of("rpad(varchar, bigint, varchar) -> varchar", |call| pad(call, false)),
        of("$pattern(varchar) -> varchar", |call| call.texts(|row| pattern(row.text(0), None).map(Some))),
        of("$pattern(varchar, varchar) -> varchar", |call| {
            call.texts(|row| pattern(row.text(0), Some(row.text(1))).map(Some))
        }),
        of("trim(varchar) -> varchar", |call| call.texts(|row| Ok(Some(row.text(0).trim())))),
        of("ltrim(varchar) -> varchar", |call| call.texts(|row| Ok(Some(row.text(0).trim_start())))),
        of("rtrim(varchar) -> varchar", |call| call.texts(|row| Ok(Some(row.text(0).trim_end())))),
        of("trim(varchar, varchar) -> varchar", |call| {
            call.texts(|row| Ok(Some(row.text(0).trim_matches(|letter| row.text(1).contains(letter)))))
        }),
        of("ltrim(varchar, varchar) -> varchar", |call| {
            call.texts(|row| Ok(Some(row.text(0).trim_start_matches(|letter| row.text(1).contains(letter)))))
        }),
        of("rtrim(varchar, varchar) -> varchar", |call| {
            call.texts(|row| Ok(Some(row.text(0).trim_end_matches(|letter| row.text(1).contains(letter)))))
        }),
        of("strpos(varchar, varchar) -> bigint", |call| {
            call.ints(|row| Ok(Some(position(row.text(0), row.text(1), 1))))
        }),
        of("strpos(varchar, varchar, bigint) -> bigint", |call| {
            call.ints(|row| match row.int(2) {
                0 => Err(bad("'instance' must be a positive or negative number.")),
                instance => Ok(Some(position(row.text(0), row.text(1), instance))),
            })
        }),
    ]
    .into_iter()
    .chain(changes())
    .collect()
}

fn changes() -> Vec<Overload> {
    vec![
        of("replace(varchar, varchar) -> varchar", |call| {
            call.texts(|row| Ok(Some(row.text(0).replace(row.text(1), ""))))
        }),
        of("replace(varchar, varchar, varchar) -> varchar", |call| {
            call.texts(|row| Ok(Some(row.text(0).replace(row.text(1), row.text(2)))))
        }),
        of("normalize(varchar) -> varchar", |call| call.texts(|row| Ok(Some(normalized(row.text(0), "NFC"))))),
        of("normalize(varchar, varchar) -> varchar", |call| {
            call.texts(|row| Ok(Some(normalized(row.text(0), row.text(1)))))
        }),
        of("soundex(varchar) -> varchar", |call| call.texts(|row| soundex(row.text(0)).map(Some))),
        of("starts_with(varchar, varchar) -> boolean", |call| {
            call.flags(|row| Ok(Some(row.text(0).starts_with(row.text(1)))))
        }),
        of("substr(varchar, bigint) -> varchar", |call| {
            call.texts(|row| Ok(Some(part(row.text(0), row.int(1), i64::MAX))))
        }),
        of("substr(varchar, bigint, bigint) -> varchar", |call| {
            call.texts(|row| Ok(Some(part(row.text(0), row.int(1), row.int(2)))))
        }),
        of("translate(varchar, varchar, varchar) -> varchar", translate),
        of("to_utf8(varchar) -> varbinary", |call| call.blobs(|row| Ok(Some(row.text(0).as_bytes())))),
        of("from_utf8(varbinary) -> varchar", |call| call.texts(|row| Ok(Some(String::from_utf8_lossy(row.bytes(0)))))),
        of("split(varchar, varchar) -> array(varchar)", |call| {
            call.lists(|row| split(row.text(0), row.text(1), usize::MAX).map(Some))
        }),
        of("split(varchar, varchar, bigint) -> array(varchar)", |call| {
            call.lists(|row| match usize::try_from(row.int(2)) {
                Ok(most) if most > 0 => split(row.text(0), row.text(1), most).map(Some),
                _ => Err(bad("Limit must be positive")),
            })
        }),
        of("split_part(varchar, varchar, bigint) -> varchar", split_part),
        of("luhn_check(varchar) -> boolean", |call| call.flags(|row| luhn(row.text(0)).map(Some))),
    ]
}

/// A pattern of LIKE as the engine has it, where a backslash makes the next letter an ordinary one.
fn pattern(text: &str, escape: Option<&str>) -> Result<String> {
    let mut letters = escape.unwrap_or_default().chars();
    let escape = match (letters.next(), letters.next()) {
        (None, _) if escape.is_some() => return Err(bad("Escape string must be a single character")),
        (_, Some(_)) => return Err(bad("Escape string must be a single character")),
        (escape, None) => escape,
    };
    let (mut made, mut letters) = (String::with_capacity(text.len()), text.chars());
    while let Some(letter) = letters.next() {
        if Some(letter) == escape {
            match letters.next() {
                Some(next) if matches!(next, '%' | '_') || Some(next) == escape => made.extend(['\\', next]),
                _ => return Err(bad("Escape character must be followed by '%', '_' or the escape character itself")),
            }
        } else if letter == '\\' {
            made.push_str("\\\\");
        } else {
            made.push(letter);
        }
    }
    Ok(made)
}

/// In one of Unicode's four forms.
fn normalized<'a>(text: &'a str, form: &str) -> std::borrow::Cow<'a, str> {
    match form {
        "NFD" => DecomposingNormalizerBorrowed::new_nfd().normalize(text),
        "NFKD" => DecomposingNormalizerBorrowed::new_nfkd().normalize(text),
        "NFKC" => ComposingNormalizerBorrowed::new_nfkc().normalize(text),
        _ => ComposingNormalizerBorrowed::new_nfc().normalize(text),
    }
}

fn concat_ws(call: &Call<'_>) -> Result<ArrayRef> {
    let mut built = arrow::array::StringViewBuilder::new();
    for at in 0..call.rows {
        let row = call.row(at);
        let texts: Vec<&str> = (1..call.len()).filter(|arg| !row.is_null(*arg)).map(|arg| row.text(arg)).collect();
        built.append_option((!row.is_null(0)).then(|| texts.join(row.text(0))));
    }
    Ok(std::sync::Arc::new(built.finish()))
}

/// The texts of an array, without those that are NULL.
fn concat_array(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = call.args[1].values.as_list::<i32>();
    call.texts(|row| {
        let list = lists.value(call.args[1].at(row.row));
        let texts: Vec<&str> = list.as_string_view().iter().flatten().collect();
        Ok(Some(texts.join(row.text(0))))
    })
}

fn hamming(call: &Call<'_>) -> Result<ArrayRef> {
    call.ints(|row| {
        let (left, right) = (row.text(0), row.text(1));
        if left.chars().count() != right.chars().count() {
            return Err(bad("The input strings to hamming_distance function must have the same length"));
        }
        Ok(Some(left.chars().zip(right.chars()).filter(|(a, b)| a != b).count() as i64))
    })
}

/// The most steps of a comparison (Trino's).
const MAX_DISTANCE: usize = 1_000_000;

fn levenshtein(call: &Call<'_>) -> Result<ArrayRef> {
    call.ints(|row| {
        let left: Vec<char> = row.text(0).chars().collect();
        let right: Vec<char> = row.text(1).chars().collect();
        if left.len().saturating_mul(right.len()) > MAX_DISTANCE {
            return Err(bad("The combined inputs for Levenshtein distance are too large"));
        }
        let mut line: Vec<usize> = (0..=right.len()).collect();
        for (at, letter) in left.iter().enumerate() {
            let mut corner = line[0];
            line[0] = at + 1;
            for (place, other) in right.iter().enumerate() {
                let above = line[place + 1];
                line[place + 1] = (corner + usize::from(letter != other)).min(above + 1).min(line[place] + 1);
                corner = above;
            }
        }
        Ok(line.last().map(|distance| *distance as i64))
    })
}

fn pad(call: &Call<'_>, left: bool) -> Result<ArrayRef> {
    call.texts(|row| {
        let (text, with) = (row.text(0), row.text(2));
        if with.is_empty() {
            return Err(bad("Padding string must not be empty"));
        }
        let size = usize::try_from(row.int(1)).ok().filter(|size| *size <= MAX_TEXT);
        let size = size.ok_or_else(|| bad(format!("Target length must be in the range [0..{MAX_TEXT}]")))?;
        let has = text.chars().count();
        if has >= size {
            return Ok(Some(text.chars().take(size).collect::<String>()));
        }
        let padding: String = with.chars().cycle().take(size - has).collect();
        Ok(Some(if left { padding + text } else { text.to_owned() + &padding }))
    })
}

/// Where a text stands in another for the nth time, from the end where that is negative; 0 for nowhere.
fn position(text: &str, wanted: &str, instance: i64) -> i64 {
    if wanted.is_empty() {
        return 1;
    }
    // They may overlap.
    let found: Vec<usize> = if instance == 1 {
        text.find(wanted).into_iter().collect()
    } else {
        text.char_indices().map(|(at, _)| at).filter(|at| text[*at..].starts_with(wanted)).collect()
    };
    let nth = usize::try_from(instance.unsigned_abs()).unwrap_or(usize::MAX) - 1;
    let at = if instance > 0 { found.get(nth) } else { found.iter().rev().nth(nth) };
    at.map_or(0, |at| text[..*at].chars().count() as i64 + 1)
}

/// A part of a text, from a place that is counted from the end where it is negative. Nothing begins at 0.
fn part(text: &str, start: i64, length: i64) -> String {
    let size = text.chars().count() as i64;
    if start == 0 || length <= 0 || start.unsigned_abs() > size.unsigned_abs() {
        return String::new();
    }
    let from = if start > 0 { start - 1 } else { size + start };
    let (from, length) = (usize::try_from(from).unwrap_or(0), usize::try_from(length).unwrap_or(0));
    text.chars().skip(from).take(length).collect()
}

fn translate(call: &Call<'_>) -> Result<ArrayRef> {
    call.texts(|row| {
        let to: Vec<char> = row.text(2).chars().collect();
        let letter = |letter: char| match row.text(1).chars().position(|known| known == letter) {
            Some(at) => to.get(at).copied(),
            None => Some(letter),
        };
        Ok(Some(row.text(0).chars().filter_map(letter).collect::<String>()))
    })
}

fn split(text: &str, by: &str, most: usize) -> Result<Vec<Option<String>>> {
    if by.is_empty() {
        return Err(bad("The delimiter may not be the empty string"));
    }
    Ok(text.splitn(most, by).map(|part| Some(part.to_owned())).collect())
}

fn split_part(call: &Call<'_>) -> Result<ArrayRef> {
    call.texts(|row| {
        let at = usize::try_from(row.int(2)).ok().filter(|at| *at > 0);
        let at = at.ok_or_else(|| bad("Index must be greater than zero"))? - 1;
        if row.text(1).is_empty() {
            return Ok(row.text(0).get(at..).and_then(|_| row.text(0).chars().nth(at)).map(String::from));
        }
        Ok(row.text(0).split(row.text(1)).nth(at).map(str::to_owned))
    })
}

fn soundex(text: &str) -> Result<String> {
    let code = |letter: char| match letter.to_ascii_uppercase() {
        'B' | 'F' | 'P' | 'V' => '1',
        'C' | 'G' | 'J' | 'K' | 'Q' | 'S' | 'X' | 'Z' => '2',
        'D' | 'T' => '3',
        'L' => '4',
        'M' | 'N' => '5',
        'R' => '6',
        'H' | 'W' => '-',
        _ => '0',
    };
    if !text.is_ascii() {
        return Err(bad("soundex takes letters of English only"));
    }
    let mut letters = text.chars().filter(char::is_ascii_alphabetic);
    let Some(first) = letters.next() else { return Ok(String::new()) };
    let (mut out, mut last) = (first.to_ascii_uppercase().to_string(), code(first));
    for digit in letters.map(code) {
        match digit {
            '-' => {}
            '0' => last = '0',
            digit => {
                if digit != last {
                    out.push(digit);
                }
                last = digit;
            }
        }
        if out.len() == 4 {
            break;
        }
    }
    Ok(format!("{out:0<4}"))
}

fn luhn(text: &str) -> Result<bool> {
    if text.is_empty() {
        return Ok(false);
    }
    let mut sum = 0;
    for (at, letter) in text.chars().rev().enumerate() {
        let digit = letter.to_digit(10).ok_or_else(|| bad("Input contains non-digit characters"))?;
        let digit = if at % 2 == 1 { digit * 2 } else { digit };
        sum += digit / 10 + digit % 10;
    }
    Ok(sum % 10 == 0)
}
