//! Reading hostile documents and writing hostile texts.

use std::borrow::Cow;

use bytes::Bytes;

use super::*;
use crate::{ErrorKind, ParseError, TimeFormat};

const F: TimeFormat = TimeFormat::Iso8601Millis;

/// `(name, text)` of the root's children; elements called `skip` are skipped.
fn children(document: &str) -> Result<Vec<(String, String)>, ParseError> {
    let Some((mut reader, _)) = XmlReader::open(document.as_bytes(), "R")? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    while let Some(child) = reader.next_child()? {
        if child.name() == "skip" {
            reader.skip()?;
        } else {
            found.push((child.name().to_owned(), reader.text()?.into_owned()));
        }
    }
    reader.finish()?;
    Ok(found)
}

#[test]
fn documents_are_read() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        (" \n", &[]),
        ("<R/>", &[]),
        ("\u{feff}<?xml version=\"1.0\"?>\n<R xmlns=\"http://x/\"><a>1</a></R>\n", &[("a", "1")]),
        ("<p:R xmlns:p=\"http://x/\"><p:a>1</p:a><b/></p:R>", &[("a", "1"), ("b", "")]),
        ("<R><!-- c --><a> x\ty </a><?pi?></R><!-- end -->", &[("a", " x\ty ")]),
        ("<R><a>&lt;&amp;&gt;&quot;&apos;&#65;&#x1F638;</a></R>", &[("a", "<&>\"'A😸")]),
        ("<R><a>x<![CDATA[<&]]>y</a></R>", &[("a", "x<&y")]),
        ("<R><a>x<!-- c -->y</a></R>", &[("a", "xy")]),
        ("<R><a>l1\r\nl2\rl3</a></R>", &[("a", "l1\nl2\nl3")]),
        ("<R><a>&#13;</a></R>", &[("a", "\r")]),
        ("<R><skip><a>1</a><skip>t</skip>&amp;</skip><b>2</b></R>", &[("b", "2")]),
    ];
    for (document, expected) in cases {
        let found = children(document).unwrap_or_else(|e| panic!("{document}: {e}"));
        let found: Vec<(&str, &str)> = found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(found, *expected, "{document}");
    }
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for document in [
        "x",
        "<Other/>",
        "<R>",
        "<R><a></R>",
        "<R></a></R>",
        "<R><a>1</a>",
        "<R/><R/>",
        "<R/>x",
        "<R>text</R>",
        "<R><a>&nbsp;</a></R>",
        "<R><a>&unknown;</a></R>",
        "<R><a>& b</a></R>",
        "<R><a>&#0;</a></R>",
        "<R><a>&#xD800;</a></R>",
        "<R><a>&#x110000;</a></R>",
        "<R><a><b/></a></R>",
        "<R><a>1<b/></a></R>",
        "<R><skip>&bad;</skip></R>",
        "<R><skip><a></skip></R>",
        "<R><a>]]",
        "<R><![CDATA[x]]></R>",
        "<R><?xml version=\"1.0\"?></R>",
        "<!DOCTYPE R><R/>",
        "<!DOCTYPE R [<!ENTITY a \"b\">]><R><a>&a;</a></R>",
        "<!DOCTYPE R SYSTEM \"file:///etc/passwd\"><R/>",
        "<R><!DOCTYPE x></R>",
        "<!-- only -->",
    ] {
        let error = children(document).expect_err(document);
        assert!(matches!(error.kind, ErrorKind::MalformedXml { .. }), "{document}: {error}");
    }
    assert_eq!(XmlReader::open(b"<R>\xff</R>", "R").map(drop).unwrap_err().kind, ErrorKind::NotUtf8);
}

#[test]
fn bombs_are_refused_by_their_limits() {
    let laughs: String = (0..9).map(|n| format!("<!ENTITY l{} \"{}\">", n + 1, format!("&l{n};").repeat(10))).collect();
    let laughs = format!("<!DOCTYPE R [<!ENTITY l0 \"lol\">{laughs}]><R><a>&l9;</a></R>");
    assert!(matches!(children(&laughs).unwrap_err().kind, ErrorKind::MalformedXml { .. }));

    let nested = |name: &str, depth: usize| {
        format!("<R>{}{}</R>", format!("<{name}>").repeat(depth), format!("</{name}>").repeat(depth))
    };
    assert!(children(&nested("skip", MAX_XML_DEPTH - 1)).is_ok());
    let deep = ErrorKind::TooDeep { limit: MAX_XML_DEPTH };
    assert_eq!(children(&nested("skip", MAX_XML_DEPTH)).unwrap_err().kind, deep);
    assert_eq!(children(&format!("<R>{}", "<skip>".repeat(500_000))).unwrap_err().kind, deep);

    let many = format!("<R>{}</R>", "<a/>".repeat(MAX_XML_ELEMENTS));
    assert_eq!(children(&many).unwrap_err().kind, ErrorKind::TooLarge { limit: MAX_XML_ELEMENTS });

    let attribute = format!("<R><a x=\"{}\"/></R>", "x".repeat(1 << 20));
    let tag = ErrorKind::TooLarge { limit: MAX_XML_TAG_BYTES };
    assert_eq!(children(&attribute).unwrap_err().kind, tag);
    let name = "a".repeat(1 << 20);
    assert_eq!(children(&format!("<R><{name}></{name}></R>")).unwrap_err().kind, tag);

    let large = format!("<R>{}</R>", " ".repeat(MAX_XML_BYTES));
    assert_eq!(children(&large).unwrap_err().kind, ErrorKind::TooLarge { limit: MAX_XML_BYTES });
}

#[test]
fn lists_and_maps_and_scalars() {
    let body = Bytes::from_static(
        b"<R><L><member>1</member><x/><member> 2 </member></L><M><entry><key>k</key><value>v</value></entry></M></R>",
    );
    let (list, map) = payload(&body, "R", |x, _| {
        let (mut list, mut map) = (None, None);
        while let Some(e) = x.next_child()? {
            match e.name() {
                "L" => list = Some(x.list("member", |x, e| x.scalar::<i32>(e, F))?),
                _ => map = Some(x.map::<String, _>(["entry", "key", "value"], |x, e| x.scalar::<String>(e, F))?),
            }
        }
        Ok((list, map))
    })
    .unwrap()
    .unwrap();
    assert_eq!(list, Some(vec![1, 2]));
    assert_eq!(map.unwrap()["k"], "v");

    for (entry, kind) in [
        ("<value>v</value>", ErrorKind::Missing),
        ("<key>k</key>", ErrorKind::Missing),
        ("<key>k</key><key>k</key><value>v</value>", ErrorKind::Duplicate),
    ] {
        let body = Bytes::from(format!("<R><entry>{entry}</entry></R>"));
        let read =
            payload(&body, "R", |x, _| x.map::<String, _>(["entry", "key", "value"], |x, e| x.scalar::<String>(e, F)));
        assert_eq!(read.unwrap_err().kind, kind, "{entry}");
    }
}

#[test]
fn attributes_are_found_by_their_local_names() {
    let read = |document: &'static [u8]| {
        payload(&Bytes::from_static(document), "R", |x, e| {
            let value = e.attribute::<String>("xsi:type", F)?;
            x.skip()?;
            Ok(value)
        })
    };
    let found = |text: &str| Ok(Some(Some(text.to_owned())));
    assert_eq!(read(b"<R xmlns:xsi=\"u\" xsi:type=\"a&amp;b\"/>"), found("a&b"));
    assert_eq!(read(b"<R xmlns:type=\"u\" type='c'/>"), found("c"));
    assert_eq!(read(b"<R/>"), Ok(Some(None)));
    for bad in [&b"<R type=x/>"[..], b"<R type=\"&bad;\"/>", b"<R a=\"1\" a=\"2\" type=\"x\"/>", b"<R type/>"] {
        assert!(read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn any_text_survives_writing_and_reading() {
    // Every character below U+0800 but NUL, which is in no key and no header, then samples from everywhere.
    let low = (1..0x800).filter_map(char::from_u32);
    let samples = ['\u{fffd}', '\u{fffe}', '\u{ffff}', '\u{feff}', '\u{efff}', '\u{f000}', '€', '😸', '\u{10ffff}'];
    for character in low.chain(samples) {
        let text = format!("a{character}{character}b");
        let mut w = XmlWriter::document(64);
        w.scalar("<R><a>", &text, F, "</a></R>");
        let document = String::from_utf8(w.finish().to_vec()).unwrap();
        assert_eq!(children(&document).unwrap()[0].1, text, "{document}");
    }
    let mut out = String::new();
    push_escaped(&mut out, "<a b=\"c\">&\r\n\u{1}\u{ffff}");
    assert_eq!(out, "&lt;a b=&quot;c&quot;&gt;&amp;&#13;\n&#x1;&#xFFFF;");
}

#[test]
fn borrowed_texts_are_not_copied() {
    let (mut reader, _) = XmlReader::open(b"<R>plain</R>", "R").unwrap().unwrap();
    assert!(matches!(reader.text().unwrap(), Cow::Borrowed("plain")));
}
