//! Patterns and events over a small vocabulary, so that they meet often.

use super::Random;

const NAMES: &[&str] = &["a", "b", "c", "d"];
const WORDS: &[&str] = &[
    "",
    "a",
    "ab",
    "abc",
    "abcabc",
    "Ab",
    "ABC",
    "b",
    "bc",
    "ba",
    "äb",
    "ÄB",
    "ß",
    "SS",
    "a*b",
    "a\\\\b",
    "10.0.0.7",
    "10.0.1.200",
    "2001:db8::1",
    "300",
];
const NUMBERS: &[&str] =
    &["0", "-0.0", "1", "1.0", "10e-1", "2", "2.5", "300", "3e2", "300.0", "-7", "123456789012345"];

/// The text of a pattern.
pub fn pattern(random: &mut Random) -> String {
    object(random, 0, "")
}

fn object(random: &mut Random, depth: usize, path: &str) -> String {
    let first = random.below(NAMES.len());
    let members = (0..1 + random.below(3)).map(|n| {
        let name = NAMES[(first + n) % NAMES.len()];
        let path = format!("{path}{name}");
        if depth < 2 && random.chance(35) {
            format!("\"{name}\": {}", object(random, depth + 1, &path))
        } else {
            format!("\"{name}\": {}", tests(random))
        }
    });
    let mut members: Vec<_> = members.collect();
    if random.chance(12) {
        let alternatives: Vec<_> = (0..2 + random.below(2)).map(|_| object(random, depth + 1, path)).collect();
        members.insert(random.below(members.len() + 1), format!("\"$or\": [{}]", alternatives.join(", ")));
    }
    format!("{{{}}}", members.join(", "))
}

fn tests(random: &mut Random) -> String {
    let tests: Vec<_> = (0..1 + random.below(2) * random.below(3)).map(|_| test(random)).collect();
    format!("[{}]", tests.join(", "))
}

fn word(random: &mut Random) -> String {
    format!("\"{}\"", random.one(WORDS))
}

fn words(random: &mut Random, empty: bool) -> String {
    let mut word = || loop {
        let word = word(random);
        if empty || word != "\"\"" {
            return word;
        }
    };
    let list = [word(), word()];
    if list[0].len() % 2 == 0 { list[0].clone() } else { format!("[{}]", list.join(", ")) }
}

fn wildcard(random: &mut Random) -> String {
    format!(
        "\"{}\"",
        random.one(&["*", "a*", "*c", "*b*", "a*c", "ab*b*", "a\\\\*b", "*\\\\\\\\*", "abc", "*ä*", "10.*", ""])
    )
}

fn number<'a>(random: &mut Random) -> &'a str {
    random.one(NUMBERS)
}

fn test(random: &mut Random) -> String {
    match random.below(20) {
        0..4 => word(random),
        4 => number(random).to_owned(),
        5 => random.one(&["true", "false", "null"]).to_owned(),
        6 => format!("{{\"exists\": {}}}", random.chance(50)),
        7 => format!("{{\"prefix\": {}}}", word(random)),
        8 => format!("{{\"suffix\": {}}}", word(random)),
        9 => format!("{{\"prefix\": {{\"equals-ignore-case\": {}}}}}", word(random)),
        10 => format!("{{\"suffix\": {{\"equals-ignore-case\": {}}}}}", word(random)),
        11 => format!("{{\"equals-ignore-case\": {}}}", word(random)),
        12 => format!("{{\"wildcard\": {}}}", wildcard(random)),
        13 => format!(
            "{{\"cidr\": \"{}\"}}",
            random.one(&["10.0.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "10.0.1.128/25"])
        ),
        14 => format!("{{\"numeric\": [\"{}\", {}]}}", random.one(&["=", "<", "<=", ">", ">="]), number(random)),
        15 => format!(
            "{{\"numeric\": [\"{}\", -7, \"{}\", {}]}}",
            random.one(&[">", ">="]),
            random.one(&["<", "<="]),
            random.one(&["0", "2", "300"])
        ),
        16 => format!("{{\"anything-but\": {}}}", words(random, true)),
        17 => format!("{{\"anything-but\": [{}, {}]}}", number(random), number(random)),
        18 => format!("{{\"anything-but\": {{\"wildcard\": [{}, {}]}}}}", wildcard(random), wildcard(random)),
        _ => {
            let operator = random.one(&["prefix", "suffix", "equals-ignore-case"]);
            format!("{{\"anything-but\": {{\"{operator}\": {}}}}}", words(random, operator == "equals-ignore-case"))
        }
    }
}

/// The text of an event.
pub fn event(random: &mut Random) -> String {
    let blank = if random.chance(20) { "\n " } else { "" };
    format!("{blank}{}{blank}", event_object(random, 0, blank))
}

fn event_object(random: &mut Random, depth: usize, blank: &str) -> String {
    let mut names: Vec<_> = (0..random.below(5)).map(|_| NAMES[random.below(NAMES.len())].to_owned()).collect();
    if random.chance(5) {
        names.push(random.one(&["a.b", "b.a.c", "\\u0061", "other", "zz.a"]).to_owned());
    }
    // A name that stands twice, now and then.
    if !random.chance(10) {
        names.sort();
        names.dedup();
    }
    let members: Vec<_> = names
        .iter()
        .map(|name| format!("{blank}\"{name}\"{blank}:{blank}{}{blank}", value(random, depth + 1, blank)))
        .collect();
    format!("{{{blank}{}}}", members.join(","))
}

fn value(random: &mut Random, depth: usize, blank: &str) -> String {
    match random.below(if depth < 4 { 14 } else { 9 }) {
        0..5 => word(random),
        5..7 => number(random).to_owned(),
        7 => random.one(&["true", "false", "null"]).to_owned(),
        8 => random.one(&["\"\\u0061b\"", "\"a\\\"b\"", "\"\\\\\"", "{}", "[]", "[[]]"]).to_owned(),
        9..12 => event_object(random, depth, blank),
        _ => {
            let items: Vec<_> = (0..random.below(4)).map(|_| value(random, depth + 1, blank)).collect();
            format!("[{blank}{}{blank}]", items.join(","))
        }
    }
}
